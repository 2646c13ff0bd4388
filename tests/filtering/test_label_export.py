import csv
import io
import logging
import os
import zipfile
from dataclasses import replace

import pytest
from helpers import draw_portrait, files_below
from quick_filter import quick_filter

from artifact_utils.filtering import FilterError, export_labels, move_flagged, score_folder, zip_clean
from artifact_utils.filtering.judging import Judge
from artifact_utils.filtering.label_export import export_state
from artifact_utils.filtering.labelled import labelled_pictures
from artifact_utils.filtering.state import open_state
from artifact_utils.organize.planning import plan


@pytest.fixture
def config(tmp_path):
    """Four scored pictures: a number for the quick detector, 0.1 to 0.7, and 3.WebP flagged at 0.6."""
    with quick_filter(tmp_path) as config:
        for i, name in enumerate(("0.png", "1.JPG", "sub/2.png", "3.WebP")):
            (config.folder / name).parent.mkdir(exist_ok=True)
            (config.folder / name).write_bytes(f"0.{2 * i + 1} picture {i}".encode())
        config = replace(config, threshold=0.6, export_labels=tmp_path / "labelled")
        score_folder(config)
        yield config


def label(config, **verdicts):
    with open_state(config) as state:
        for path, verdict in verdicts.items():
            state.corrections.add(os.fsencode(path), verdict)


def test_labels_become_a_data_set_with_the_bytes_and_suffixes_unchanged(config):
    label(config, **{"3.WebP": 0, "1.JPG": 1, "sub/2.png": 1})
    exported = export_labels(config)
    assert (exported.artifacts, exported.clean) == (2, 1)
    assert f"python organize_dataset.py --source {config.export_labels}" in str(exported)
    files = files_below(config.export_labels)
    assert {name: data for name, data in files.items() if name.startswith("train/")} == {
        "train/image_00001_0.WebP": b"0.7 picture 3",
        "train/image_00002_1.JPG": b"0.3 picture 1",
        "train/image_00003_1.png": b"0.5 picture 2",
    }
    rows = list(csv.DictReader(files["labels.csv"].decode().splitlines()))
    assert [(row["source"], row["label"], row["old_verdict"], row["probability"]) for row in rows] == [
        ("3.WebP", "0", "1", "0.7"),
        ("1.JPG", "1", "0", "0.3"),
        ("sub/2.png", "1", "0", "0.5"),
    ]


def test_organizing_reads_what_was_exported_with_its_groups(config, tmp_path):
    for i, name in enumerate(("0.png", "1.JPG", "sub/2.png")):
        draw_portrait(tmp_path / "drawn.png", seed=i, artifact=False)
        (config.folder / name).write_bytes((tmp_path / "drawn.png").read_bytes())
    (config.folder / "3.WebP").write_bytes((config.folder / "0.png").read_bytes())
    (config.folder / "groups.csv").write_text("file,group\n1.JPG,SD/Anna\n")
    label(config, **{"0.png": 0, "1.JPG": 1, "sub/2.png": 1})
    export_labels(config)
    planned = plan(config.export_labels, tmp_path / "dataset")
    groups = {entry.path: entry.group for entry in planned.todo}
    assert groups["train/artifacts/image_00002_1.JPG"] == "SD/Anna"
    assert len(groups) == len(set(groups.values())) == 3 and all(groups.values())
    assert planned.rejected == ()


def test_exporting_again_finishes_and_takes_in_new_labels_but_replaces_nothing(config):
    label(config, **{"3.WebP": 0, "1.JPG": 1})
    export_labels(config)
    before = files_below(config.export_labels)
    export_labels(config)
    assert files_below(config.export_labels) == before
    (config.export_labels / "groups.csv").unlink()  # killed before it was written
    (config.export_labels / "train" / "image_00002_1.JPG").unlink()
    label(config, **{"0.png": 0})
    export_labels(config)
    after = files_below(config.export_labels)
    assert after["train/image_00003_0.png"] == b"0.1 picture 0"
    assert {name: after[name] for name in before if name.startswith("train/")}.items() <= before.items()
    label(config, **{"3.WebP": 1})  # comes last now: the numbers of the others have changed
    with pytest.raises(FilterError, match="is not what would be exported: name a new folder"):
        export_labels(config)
    assert files_below(config.export_labels) == after


@pytest.mark.parametrize("name", ["notes.txt", "groups.csv", "labels.csv", "train/image_00001_0.WebP", "train/x/y.png"])
def test_nothing_is_exported_over_or_beside_strange_files(config, name):
    label(config, **{"3.WebP": 0})
    file = config.export_labels / name
    file.parent.mkdir(parents=True)
    file.write_text("file,group\nmine,too\n")
    before = files_below(config.export_labels)
    with pytest.raises(FilterError, match=r"there already|CSV"):
        export_labels(config)
    assert files_below(config.export_labels) == before


def test_a_file_in_the_way_is_named(config):
    label(config, **{"3.WebP": 0})
    config.export_labels.write_text("mine")
    with pytest.raises(FilterError, match="is no folder"):
        export_labels(config)


def test_nothing_labelled_and_nothing_scored_are_told(config, tmp_path):
    with pytest.raises(FilterError, match=r"^no picture of "):
        export_labels(config)
    assert not config.export_labels.exists()
    with pytest.raises(FilterError, match="was not scored yet"):
        export_labels(replace(config, scores=tmp_path / "other.csv"))


def test_moved_and_renamed_pictures_are_found_and_edited_ones_left_out(config, caplog):
    label(config, **{"3.WebP": 1, "0.png": 0, "1.JPG": 0})
    move_flagged(config)
    (config.folder / "0.png").rename(config.folder / "renamed.png")
    (config.folder / "1.JPG").write_bytes(b"0.2 edited")
    score_folder(config)
    with open_state(config) as state, caplog.at_level(logging.WARNING):
        found = {p.file.name: p.label for p in labelled_pictures(state)}
        assert found == {"3.WebP": 1, "renamed.png": 0}
    assert "1 labelled pictures are gone" in caplog.text
    assert (export_labels(config).artifacts, export_labels(config).clean) == (1, 1)


def test_a_state_that_leads_out_of_the_folder_is_refused(config, tmp_path):
    label(config, **{"0.png": 0})
    with open_state(config) as state:
        state._connection.execute("UPDATE corrections SET path = ?", (b"../model.safetensors",))
        with pytest.raises(FilterError, match="no place below a folder"):
            export_state(state, tmp_path / "labelled")


class Unseekable(io.RawIOBase):
    """A stream as a browser's download is one."""

    def __init__(self):
        self.chunks = []

    def writable(self):
        return True

    def write(self, data):
        self.chunks.append(bytes(data))
        return len(data)


def zipped(config, **options):
    stream, seen = Unseekable(), []
    with open_state(config) as state:
        judge = Judge.of(config, state)
        n = zip_clean(state, judge, stream, on_progress=lambda done, total: seen.append((done, total)))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(stream.chunks)))
    assert archive.testzip() is None
    assert n == len(archive.namelist())
    return archive, seen


def test_the_clean_pictures_come_as_a_zip_in_their_folders(config):
    archive, seen = zipped(config)
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "0.png": b"0.1 picture 0",
        "1.JPG": b"0.3 picture 1",
        "sub/2.png": b"0.5 picture 2",
    }
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_a_person_says_of_a_picture_decides_whether_it_is_in_the_zip(config):
    label(config, **{"3.WebP": 0, "0.png": 1})
    archive, _ = zipped(config)
    assert sorted(archive.namelist()) == ["1.JPG", "3.WebP", "sub/2.png"]
    assert sorted(zipped(replace(config, threshold=0.2))[0].namelist()) == ["3.WebP"]


def test_names_in_the_zip_are_safe_and_differ(config):
    odd = [b"a:b.png", b"a_b.png", b"A_B.png", b"..\\..\\x.png", b"line\n.png", b"caf\xe9.png", b"CON ./y.png"]
    for i, name in enumerate(odd):
        path = config.folder / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"0.01 {i}".encode())
    score_folder(config)
    names = set(zipped(config)[0].namelist()) - {"0.png", "1.JPG", "sub/2.png"}
    assert len({name.casefold() for name in names}) == len(odd)
    assert {"a_b.png", ".._.._x.png", "line_.png", "caf_.png", "CON/y.png"} - names <= {"a_b.png"}
    assert not any(set(name) & set('\\:\n"') or name.startswith("/") or "/../" in f"/{name}/" for name in names)


def test_what_changed_since_it_was_scored_is_not_in_the_zip(config, caplog, tmp_path):
    (config.folder / "0.png").write_bytes(b"another")
    (config.folder / "1.JPG").unlink()
    (config.folder / "1.JPG").symlink_to(tmp_path / "model.safetensors")
    with caplog.at_level(logging.WARNING):
        archive, _ = zipped(config)
    assert archive.namelist() == ["sub/2.png"]
    assert "2 pictures are gone or have changed" in caplog.text
