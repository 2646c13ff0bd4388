"""Labels from a table, as a person without a browser gives them."""

from dataclasses import replace

import pytest

from artifact_utils.filtering import FilterError, import_labels, score_folder
from artifact_utils.filtering.state import open_state


@pytest.fixture
def table(config, tmp_path):
    def write(*rows: str):
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(("file,label,note", *rows)) + "\n")
        return replace(config, labels=path)

    return write


def kept(config) -> list:
    with open_state(config) as state:
        return [(correction.path, correction.verdict) for correction in state.corrections.list()]


def test_labels_of_a_table_are_kept_as_those_of_the_page(config, table):
    score_folder(config)
    asked = table("part_0/03.png,artifact,teeth", "part_1/01.png,Clean,", "part_2/02.png,1,", "part_1/04.png,0,")
    assert import_labels(asked) == "4 pictures labelled: 2 artifact, 2 clean"
    expected = [(b"part_0/03.png", 1), (b"part_1/01.png", 0), (b"part_2/02.png", 1), (b"part_1/04.png", 0)]
    assert kept(config) == expected
    import_labels(table("part_0/03.png,clean,"))
    assert sorted(kept(config)) == sorted([(b"part_0/03.png", 0), *expected[1:]])


def test_a_table_with_a_mistake_labels_nothing(config, table):
    with pytest.raises(FilterError, match="was not scored yet: score it first"):
        import_labels(table("part_0/03.png,artifact,"))
    score_folder(config)
    for row, said in (
        ("part_0/03.png,bad,", "line 3: label 'bad': write artifact or clean"),
        ("nowhere.png,1,", "'nowhere.png' is not among the scores"),
        ("../../etc/passwd,1,", "is not among the scores"),
    ):
        with pytest.raises(FilterError, match=said):
            import_labels(table("part_1/01.png,clean,", row))
    with pytest.raises(FilterError, match=r"no table .*: name one with the columns file and label"):
        import_labels(replace(config, labels=config.folder / "none.csv"))
    assert kept(config) == []
