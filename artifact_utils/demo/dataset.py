"""The default data set: portraits cut from OpenPeople, one in ten with an injected artifact.

    python -m artifact_utils.demo.dataset --out raw
    python -m artifact_utils.demo.dataset --out test_data --n-train 45 --n-test 15 \
        --artifact-fraction 0.3333 --suffix .jpg

Both classes come from the same people and go through the same framing, exposure, harmless edits and coding, so that
nothing but the artifact tells them apart.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tyro
from joblib import Parallel, cpu_count, delayed
from PIL import Image

from artifact_utils.console import ArtifactUtilsError, progress_bar
from artifact_utils.demo.openpeople import Base, bases, cut_portrait, frame_portrait
from artifact_utils.faces import FACE_COLUMNS
from artifact_utils.files import read_csv, write_csv
from artifact_utils.labels import CLASS_NAMES
from artifact_utils.organize import apply, plan
from artifact_utils.synthesis import harmless_edit, inject

DEFAULT_DATA = Path("dataset")
"""Where training looks when it is not told otherwise."""

TEST_PEOPLE = ("P003", "P007")
"""Never in train: a fair woman with straight brown hair and a dark man with a crown of curls."""

RECIPE = 2
"""Number of the recipe; it goes up whenever the same parameters would give other pictures."""

DEMO_FAMILIES: dict[str, tuple[str, ...]] = {
    "hands": ("hand_on_mouth", "hand_on_cheek", "fused_fingers", "fist", "stray_fingers"),
    "face": (
        "melted_face",
        "swirled_feature",
        "swollen_feature",
        "shifted_feature",
        "crumpled_face",
        "doubled_eye",
        "third_eye",
        "doubled_mouth",
        "merged_faces",
    ),
    "text": ("garbled_caption", "watermark", "lettering_on_face", "lettering_beside_face", "signature"),
    "objects": ("strap", "tube", "wires", "cloth_scrap", "torn_shape", "paint_stripes", "paint_patch"),
    "glitch": (
        "repeated_block",
        "shifted_rows",
        "checkerboard",
        "noise_patch",
        "smear",
        "colour_bleed",
        "blocky_patch",
    ),
}
"""What the demo set shows, by family. ``synthesis`` grows; the bytes of this set must not change when it does."""

DEMO_EDITS = ("pasted_back", "soft_focus", "side_light", "glasses", "freckles", "dyed_clothes", "tinted_background")
"""The harmless edits of the demo set, frozen for the same reason."""

HARMLESS_SHARE = 0.3
STRENGTHS = (0.55, 1.0)
JPEG_QUALITIES = (80, 96)
"""All three are drawn alike for both classes, except that only artifacts have a strength."""

_SPLITS = ("train", "test")
_SUFFIXES = (".png", ".jpg")


class DemoDataError(ArtifactUtilsError):
    """The demo set cannot be built where or how it was asked for."""


@dataclass(frozen=True)
class _Task:
    """One picture to make. ``kind`` is empty for a clean one."""

    split: str
    index: int
    base: Base
    kind: str

    def name(self, suffix: str) -> str:
        return f"image_{self.index:05d}_{int(bool(self.kind))}{suffix}"


def build_demo_dataset(
    out: Path,
    *,
    n_train: int = 1800,
    n_test: int = 200,
    size: int = 256,
    artifact_fraction: float = 0.1,
    seed: int = 0,
    suffix: str = ".png",
    workers: int | None = None,
) -> Path:
    """Make a labelled set of portraits in the raw layout, people in test never being in train.

    Writes ``out/{train,test}/image_00001_0.png`` and so on, ``out/groups.csv`` (``file,group``: the person),
    ``out/faces.csv`` (``path`` and the five points of ``synthesis.Face``, as shares of the side),
    ``out/artifacts.csv`` (``file,kind,strength,mask``) and ``out/masks/{train,test}/*.png`` (1 bit, white = artifact).
    The same parameters give the same bytes. An interrupted build is continued.

    Args:
        out: folder to make; empty, missing, or holding an unfinished set with the same parameters.
        n_train: number of training pictures.
        n_test: number of test pictures.
        size: side of the square pictures in pixels.
        artifact_fraction: share of pictures with an artifact, exactly rounded in each split.
        seed: of everything that is random.
        suffix: ``.png`` (of a picture that has been through JPEG) or ``.jpg`` (those JPEG bytes).
        workers: number of processes; by default one for each core.

    Returns:
        ``out``.

    Raises:
        DemoDataError: a parameter out of range, or ``out`` holds something else.
    """
    out = Path(out)
    _check(n_train, n_test, size, artifact_fraction, suffix)
    parameters = {
        "recipe": RECIPE,
        "n_train": n_train,
        "n_test": n_test,
        "size": size,
        "artifact_fraction": artifact_fraction,
        "seed": seed,
        "suffix": suffix,
    }
    _claim(out, parameters)
    tasks = [
        task
        for split, n in zip(_SPLITS, (n_train, n_test), strict=True)
        for task in _plan(split, n, artifact_fraction, seed)
    ]
    rows = _known_artifacts(out)
    missing = [task for task in tasks if not _is_done(out, task, suffix, rows)]
    # Neighbours in this order share a sheet, which is then decoded once.
    missing.sort(key=lambda task: (task.base.person, task.base.asset, task.split, task.index))
    make = Parallel(n_jobs=workers or cpu_count(), return_as="generator")  # processes: threads would share one core
    made = make(delayed(_make)(out, task, size, seed, suffix) for task in missing)
    for row in progress_bar(made, "demo portraits", total=len(missing), unit="img", shown=bool(missing)):
        if row:
            rows[row["file"]] = row
    names = [(f"{task.split}/{task.name(suffix)}", task) for task in tasks]
    write_csv(out / "groups.csv", ("file", "group"), [[name, task.base.person] for name, task in names])
    write_csv(out / "faces.csv", ("path", *FACE_COLUMNS), [_face_row(name, task, size, seed) for name, task in names])
    columns = ("file", "kind", "strength", "mask")
    table = [[rows[name][column] for column in columns] for name, task in names if task.kind]
    write_csv(out / "artifacts.csv", columns, table)
    return out


def ensure_dataset(data: Path) -> None:
    """Build the demo set into ``DEFAULT_DATA`` if that is what is asked for and it is not there yet.

    It goes through the raw layout in ``demo_data/`` and the organiser, like a user's own files. Interrupted at any
    moment, the next call goes on; the folder gets its name only when it is complete.
    """
    if data != DEFAULT_DATA or data.exists():
        return
    raw, partial = Path("demo_data"), data.with_name(f"{data.name}.partial")
    print(
        f"no {data}/ here: building a demo set from OpenPeople in {raw}/, 2,000 portraits, one in ten with an artifact"
    )
    build_demo_dataset(raw)
    todo = plan(raw, partial)
    apply(todo)
    carry_annotations(raw, partial)
    partial.rename(data)
    counts = Counter((entry.split, CLASS_NAMES[entry.label]) for entry in todo.entries)
    listing = ", ".join(f"{split}/{name} {n:,}" for (split, name), n in sorted(counts.items()))
    print(f"organised into {data}/: {listing}; {len(todo.rejected)} rejected")


def carry_annotations(raw: Path, data: Path) -> None:
    """Take along what a demo set says of its faces and artifacts, masks included, into its organised folder.

    Args:
        raw: a folder of ``build_demo_dataset``, such as ``test_data``; what it does not say is left out.
        data: the folder that it was organised into.
    """
    sources = {row["source"]: row["path"] for row in read_csv(data / "manifest.csv", ("path", "source"))}
    places = {Path(source).relative_to(raw.resolve()).as_posix(): path for source, path in sources.items()}
    faces = [(places[row.pop("path")], *row.values()) for row in read_csv(raw / "faces.csv", ("path", *FACE_COLUMNS))]
    rows = []
    for row in read_csv(raw / "artifacts.csv", ("file", "kind", "strength", "mask")):
        mask = f".{row['mask']}"  # hidden: whatever else lies in a data set is taken for a portrait
        (data / mask).parent.mkdir(parents=True, exist_ok=True)
        _write(data / mask, (raw / row["mask"]).read_bytes())
        rows.append((places[row["file"]], row["kind"], row["strength"], mask))
    for name, columns, table in (
        ("faces.csv", ("path", *FACE_COLUMNS), faces),
        ("artifacts.csv", ("path", "kind", "strength", "mask"), rows),
    ):
        if table:
            write_csv(data / name, columns, table)


def _check(n_train: int, n_test: int, size: int, artifact_fraction: float, suffix: str) -> None:
    if n_train < 0 or n_test < 0:
        raise DemoDataError(f"the numbers of pictures must not be negative: n_train={n_train}, n_test={n_test}")
    if not 64 <= size <= 1024:
        raise DemoDataError(f"size must lie between 64 and 1024 pixels, not {size}")
    if not 0 <= artifact_fraction <= 1:
        raise DemoDataError(f"artifact_fraction must lie in [0, 1], not {artifact_fraction}")
    if suffix not in _SUFFIXES:
        raise DemoDataError(f"suffix must be one of {', '.join(_SUFFIXES)}, not {suffix!r}")


def _claim(out: Path, parameters: dict[str, object]) -> None:
    """Make the folder and note its parameters; refuse one that holds anything else."""
    record = out / "demo_data.json"
    if record.is_file():
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DemoDataError(f"cannot read {record} ({error}): remove {out} or choose another folder") from error
        if found != parameters:
            differing = sorted(k for k in parameters.keys() | found.keys() if found.get(k) != parameters.get(k))
            raise DemoDataError(
                f"{out} holds a demo set made with other parameters ("
                + ", ".join(f"{k}: {found.get(k)!r} there, {parameters.get(k)!r} now" for k in differing)
                + "): remove it or choose another folder"
            )
    elif out.exists() and (not out.is_dir() or any(p.name != "README.md" for p in out.iterdir())):
        raise DemoDataError(f"{out} exists and is not a demo set: choose a new folder, or remove it")
    for split in _SPLITS:
        for folder in (out / split, out / "masks" / split):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.part"):
                leftover.unlink()
    if not record.is_file():
        _write(record, (json.dumps(parameters, indent=2) + "\n").encode())


def _plan(split: str, n: int, artifact_fraction: float, seed: int) -> list[_Task]:
    """Which portrait and which artifact each picture of a split gets; both are drawn apart from each other."""
    rng = np.random.default_rng([seed, _SPLITS.index(split)])
    people = [p for p in sorted(bases()) if (p in TEST_PEOPLE) == (split == "test")]
    places = [base for person in people for base in bases()[person]]
    order = np.concatenate([rng.permutation(len(places)) for _ in range(n // len(places) + 1)])[:n]
    n_artifacts = round(artifact_fraction * n)
    kinds = [""] * (n - n_artifacts) + _balanced_kinds(rng, n_artifacts)
    return [
        _Task(split, index + 1, places[int(place)], kinds[int(kind)])
        for index, (place, kind) in enumerate(zip(order, rng.permutation(n), strict=True))
    ]


def _balanced_kinds(rng: np.random.Generator, n: int) -> list[str]:
    """``n`` kinds of artifact, as many from each family and, within it, from each kind as can be."""
    queues = {family: [kinds[int(i)] for i in rng.permutation(len(kinds))] for family, kinds in DEMO_FAMILIES.items()}
    families = [list(queues)[int(i)] for i in rng.permutation(len(queues))]
    chosen = []
    for i in range(n):
        queue = queues[families[i % len(families)]]
        chosen.append(queue[i // len(families) % len(queue)])
    return chosen


def _rng(task: _Task, seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, _SPLITS.index(task.split), task.index]))


def _face_row(name: str, task: _Task, size: int, seed: int) -> list[str]:
    _, face = frame_portrait(task.base, _rng(task, seed), size)
    points = (face.left_eye, face.right_eye, face.nose, face.mouth, face.chin)
    return [name, *(f"{value / size:.4f}" for point in points for value in point)]


def _make(out: Path, task: _Task, size: int, seed: int, suffix: str) -> dict[str, str] | None:
    """Render one picture and write it, mask first; returns its row of ``artifacts.csv``."""
    cv2.setNumThreads(1)  # the cores are taken by the other processes
    rng = _rng(task, seed)
    image, face = cut_portrait(task.base, rng, size)
    if rng.random() < HARMLESS_SHARE:
        image, _ = harmless_edit(image, rng, face=face, kinds=DEMO_EDITS)
    quality = int(rng.integers(*JPEG_QUALITIES))
    name = task.name(suffix)
    row = None
    if task.kind:
        injected = inject(image, rng, kind=task.kind, strength=float(rng.uniform(*STRENGTHS)), face=face)
        image = injected.image
        mask_name = f"masks/{task.split}/{Path(name).stem}.png"
        mask = BytesIO()
        Image.fromarray(injected.mask).save(mask, "PNG", optimize=True)
        _write(out / mask_name, mask.getvalue())
        strength = f"{injected.strength:.3f}"
        row = {"file": f"{task.split}/{name}", "kind": injected.kind, "strength": strength, "mask": mask_name}
    coded = BytesIO()
    Image.fromarray(image).save(coded, "JPEG", quality=quality)
    if suffix == ".png":
        decoded = Image.open(coded).convert("RGB")
        coded = BytesIO()
        decoded.save(coded, "PNG", compress_level=1)
    _write(out / task.split / name, coded.getvalue())
    return row


def _known_artifacts(out: Path) -> dict[str, dict[str, str]]:
    table = out / "artifacts.csv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row["file"]: dict(row) for row in csv.DictReader(file)}


def _is_done(out: Path, task: _Task, suffix: str, rows: dict[str, dict[str, str]]) -> bool:
    """Pictures appear under their name only when complete; an artifact also needs its row in the table."""
    name = task.name(suffix)
    if task.kind and f"{task.split}/{name}" not in rows:
        return False
    return (out / task.split / name).is_file()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all; without waiting for the disk, since what a power cut takes can be made again."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    try:
        tyro.cli(build_demo_dataset)
    except (DemoDataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
