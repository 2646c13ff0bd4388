import csv

from artifact_utils.filtering import FilterConfig
from artifact_utils.filtering.export import write_scores
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import Score, open_state


def test_text_is_quoted_and_formulas_are_defused(tmp_path):
    config = FilterConfig(tmp_path / "portraits")
    config.folder.mkdir()
    with open_state(config) as state:
        state.use_model("model", 0.5)
        names = [b"=HYPERLINK(1).png", b"a\r.png", b"b,\n.png", b"\xff.png"]
        state.add_scores([Score(name, 0.25, "", 1, 2, 3) for name in names])
        state.add_scores([Score(b"c.png", None, "truncated", 1, 2, 3), Score(b"d.png", 0.5, "", 1, 2, 3)])
        write_scores(state, Outputs.of(config), 0.5)
    table = tmp_path / "portraits.scores.csv"
    assert table.read_bytes().startswith(b'"path","probability","flagged","reason"\n"\'=HYPERLINK(1).png",0.25,0,""\n')
    with table.open(newline="", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[2:]] == ["a\r.png", "b,\n.png", "c.png", "d.png", "\udcff.png"]
    assert rows[4:6] == [["c.png", "", "", "truncated"], ["d.png", "0.5", "1", ""]]
