import pytest
import tqdm.auto
import tqdm.std

from artifact_utils.console import progress_bar


@pytest.mark.parametrize("options", [{}, {"only_in_terminal": True}, {"shown": True}])
@pytest.mark.parametrize("bar_class", [tqdm.auto.tqdm, tqdm.std.tqdm])
def test_the_environment_hides_every_bar(monkeypatch, capsys, options, bar_class):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(tqdm.auto, "tqdm", bar_class)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(progress_bar(range(3), "count", **options)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_unless_it_is_not_shown_or_for_terminals_only(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for options, is_seen in (({}, True), ({"shown": False}, False), ({"only_in_terminal": True}, False)):
        with progress_bar(label="count", total=3, unit="img", **options) as bar:
            bar.update(3)
        assert ("3/3" in capsys.readouterr().err) == is_seen
