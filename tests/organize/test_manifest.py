import hashlib
import shutil
from pathlib import Path

import pytest
from helpers import draw_noise, files_below, read_rows, reasons_in

from artifact_utils.files.tables import write_csv
from artifact_utils.files.writing import FileError
from artifact_utils.organize import OrganizeError, apply, plan, read_manifest, undo
from artifact_utils.organize.manifest import MANIFEST_COLUMNS, RECORD


def test_the_manifest_says_where_each_file_came_from(source: Path) -> None:
    (source / "groups.csv").write_text("file,group\ntrain/image_00002_1.png,person 7\n")
    output = source.parent / "dataset"
    apply(plan(source, output))
    assert read_rows(output / "manifest.csv")[2] == {
        "path": "train/artifacts/image_00002_1.png",
        "split": "train",
        "label": "1",
        "class": "artifacts",
        "source": str(source / "train/image_00002_1.png"),
        "sha256": hashlib.sha256((source / "train/image_00002_1.png").read_bytes()).hexdigest(),
        "group": "person 7",
    }
    assert [entry.label for entry in read_manifest(output)] == [1, 0, 1, 0, 0, 0, 0, 0]
    assert reasons_in(output) == {"text_1.png": "not a PNG, JPEG, WebP or BMP picture"}


def test_the_table_is_an_export_that_is_never_believed(source: Path) -> None:
    output, before = source.parent / "dataset", files_below(source)
    apply(plan(source, output, mode="move"))
    manifest = (output / "manifest.csv").read_text()
    (output / "manifest.csv").write_text(manifest.replace(str(source), str(source.parent / "elsewhere")))
    assert undo(output) == []
    assert files_below(source.parent) == {f"raw/{name}": content for name, content in before.items()}


def from_elsewhere(output: Path, origin: str) -> None:
    """Leave what an earlier version, or a stranger, would have left."""
    if origin == "copied":  # unpacked from an archive, say
        shutil.copy(output / RECORD, output / "copy")
        (output / "copy").rename(output / RECORD)
    else:
        (output / RECORD).unlink()


@pytest.mark.parametrize("origin", ["earlier version", "copied"])
def test_sources_of_unknown_origin_have_to_be_confirmed(source: Path, origin: str) -> None:
    output, before = source.parent / "dataset", files_below(source)
    apply(plan(source, output, mode="move"))
    from_elsewhere(output, origin)
    placed = files_below(source.parent)
    for wrong in (None, source.parent / "elsewhere", source / "train"):
        with pytest.raises(OrganizeError, match="confirm that with --source"):
            undo(output, wrong)
        assert files_below(source.parent) == placed
    assert undo(output, source) == []
    assert files_below(source) == before
    assert not output.exists()


def test_a_new_run_does_not_confirm_what_it_has_not_seen(source: Path) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output, mode="move"))
    manifest = (output / "manifest.csv").read_text()
    (output / "manifest.csv").write_text(manifest.replace(str(source), "/stolen"))
    from_elsewhere(output, "earlier version")
    draw_noise(source / "train/new_1.png", 30)
    apply(plan(source, output))
    with pytest.raises(OrganizeError, match=r"'/stolen/.*confirm that with --source"):
        undo(output)


def test_a_damaged_manifest_leads_nowhere_else(source: Path) -> None:
    output = source.parent / "dataset"
    apply(plan(source, output))
    (output / RECORD).unlink()
    manifest = (output / "manifest.csv").read_text()
    (output / "manifest.csv").write_text(manifest.replace("train/artifacts/", "train/../../"))
    before = files_below(source.parent)
    with pytest.raises(FileError, match="damaged"):
        undo(output)
    assert files_below(source.parent) == before


@pytest.mark.parametrize(
    "path",
    [
        "train/artifacts/a.png",
        "train/others/a_1.png",
        "others/artifacts/a_1.png",
        "a_1.png",
        "train/artifacts/a/b_1.png",
        "/train/artifacts/a_1.png",
        "train/artifacts/a_1.png\0",
    ],
)
def test_a_row_that_no_plan_writes_is_damage(tmp_path: Path, path: str) -> None:
    write_csv(tmp_path / "manifest.csv", MANIFEST_COLUMNS, [(path, "train", "1", "artifacts", "/a", "0", "")])
    with pytest.raises(FileError, match=r"manifest.csv' is (damaged|not a CSV file)"):
        read_manifest(tmp_path)
