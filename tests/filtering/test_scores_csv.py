import csv

from helpers import read_rows

from artifact_utils.filtering import FilterConfig
from artifact_utils.filtering.judging import Judge, write_details
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.scores_csv import write_scores
from artifact_utils.filtering.state import Score, open_state
from artifact_utils.predictions import Place, Prediction


def test_text_is_quoted_and_formulas_are_defused(tmp_path):
    config = FilterConfig(tmp_path / "portraits")
    config.folder.mkdir()
    with open_state(config) as state:
        state.use_model("model", 0.5)
        names = [b"=HYPERLINK(1).png", b"a\r.png", b"b,\n.png", b"\xff.png"]
        state.add_scores([Score(name, 0.25, "", 1, 2, 3) for name in names])
        state.add_scores([Score(b"c.png", None, "truncated", 1, 2, 3), Score(b"d.png", 0.5, "", 1, 2, 3)])
        write_scores(state, Outputs.of(config), Judge(0.5))
    table = tmp_path / "portraits.scores.csv"
    head, first = table.read_bytes().split(b"\n")[:2]
    assert head.startswith(b'"path","probability","flagged","reason","family","x","y"')
    assert first == b'"\'=HYPERLINK(1).png",0.25,0,"","","","","","","",""'
    with table.open(newline="", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[2:]] == ["a\r.png", "b,\n.png", "c.png", "d.png", "\udcff.png"]
    assert [row[:4] for row in rows[4:6]] == [["c.png", "", "", "truncated"], ["d.png", "0.5", "1", ""]]


def test_the_family_the_place_and_what_each_family_has_are_columns(tmp_path):
    config = FilterConfig(tmp_path / "portraits")
    config.folder.mkdir()
    chances = {"hands": 0.8, "text": 0.9}
    said = Prediction(0.9, True, "text", chances, {"hands": Place(1, 2, 0, 0, 3, 4), "text": Place(5, 6, 4, 4, 9, 9)})
    known = ("hands", "text")
    with open_state(config) as state:
        state.use_model("model", 0.5, counted=known, families=known, sharpness=4.0)
        state.add_scores([Score(b"a.png", 0.9, "", 1, 2, 3, write_details(said))])
        for counted in (known, ("hands",)):
            write_scores(state, Outputs.of(config), Judge(0.85, counted, known, 4.0))
            row = read_rows(tmp_path / "portraits.scores.csv")[0]
            assert (row["hands"], row["text"]) == ("0.8", "0.9")
            assert row["family"] == counted[-1] and row["flagged"] == str(int(counted == known))
            assert (row["x"], row["right"]) == (("5", "9") if counted == known else ("1", "3"))
