"""Building the demo set: portraits cut from OpenPeople, one in ten with an injected artifact.

Both classes come from the same people and go through the same framing, exposure, harmless edits and coding, so that
nothing but the artifact tells them apart.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import cv2
from joblib import Parallel, cpu_count, delayed
from PIL import Image

from artifact_utils.console import ArtifactUtilsError, progress_bar
from artifact_utils.demo.openpeople import cut_portrait, frame_portrait
from artifact_utils.demo.recipe import (
    DEMO_EDITS,
    HARMLESS_SHARE,
    JPEG_QUALITIES,
    RECIPE,
    SPLITS,
    STRENGTHS,
    Task,
    plan_split,
)
from artifact_utils.faces import FACE_COLUMNS
from artifact_utils.files.tables import read_csv, write_csv
from artifact_utils.synthesis import harmless_edit, inject

_SUFFIXES = (".png", ".jpg")
_ARTIFACT_COLUMNS = ("file", "kind", "strength", "mask")


class DemoDataError(ArtifactUtilsError):
    """The demo set cannot be built where or how it was asked for."""


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
    ``out/faces.csv`` (``path`` and the five points of ``faces.Face``, as shares of the side),
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
    _check(n_train, n_test, size, artifact_fraction, seed, suffix)
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
        for split, n in zip(SPLITS, (n_train, n_test), strict=True)
        for task in plan_split(split, n, artifact_fraction, seed)
    ]
    rows = {row["file"]: row for row in read_csv(out / "artifacts.csv", _ARTIFACT_COLUMNS)}
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
    table = [[rows[name][column] for column in _ARTIFACT_COLUMNS] for name, task in names if task.kind]
    write_csv(out / "artifacts.csv", _ARTIFACT_COLUMNS, table)
    return out


def _check(n_train: int, n_test: int, size: int, artifact_fraction: float, seed: int, suffix: str) -> None:
    if n_train < 0 or n_test < 0:
        raise DemoDataError(f"the numbers of pictures must not be negative: n_train={n_train}, n_test={n_test}")
    if not 64 <= size <= 1024:
        raise DemoDataError(f"size must lie between 64 and 1024 pixels, not {size}")
    if not 0 <= artifact_fraction <= 1:
        raise DemoDataError(f"artifact_fraction must lie in [0, 1], not {artifact_fraction}")
    if seed < 0:
        raise DemoDataError(f"the seed must not be negative: {seed}")
    if suffix not in _SUFFIXES:
        raise DemoDataError(f"suffix must be one of {', '.join(_SUFFIXES)}, not {suffix!r}")


def _claim(out: Path, parameters: dict[str, object]) -> None:
    """Make the folder and note its parameters; refuse one that holds anything else."""
    record = out / "demo_data.json"
    if record.is_file():
        _check_record(record, parameters)
    elif out.exists() and (not out.is_dir() or any(p.name != "README.md" for p in out.iterdir())):
        raise DemoDataError(f"{out} exists and is not a demo set: choose a new folder, or remove it")
    for split in SPLITS:
        for folder in (out / split, out / "masks" / split):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.part"):
                leftover.unlink()
    if not record.is_file():
        write_whole(record, (json.dumps(parameters, indent=2) + "\n").encode())


def _check_record(record: Path, parameters: dict[str, object]) -> None:
    """Refuse a folder whose set was made with other parameters."""
    try:
        found = dict(json.loads(record.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, RecursionError) as error:
        raise DemoDataError(f"{record} is not the record of a demo set: remove it or choose another folder") from error
    differing = [k for k in sorted(parameters.keys() | found.keys()) if found.get(k) != parameters.get(k)]
    if differing:
        raise DemoDataError(
            f"{record.parent} holds a demo set made with other parameters ("
            + ", ".join(f"{k}: {found.get(k)!r} there, {parameters.get(k)!r} now" for k in differing)
            + "): remove it or choose another folder"
        )


def _face_row(name: str, task: Task, size: int, seed: int) -> list[str]:
    _, face = frame_portrait(task.base, task.rng(seed), size)
    points = (face.left_eye, face.right_eye, face.nose, face.mouth, face.chin)
    return [name, *(f"{value / size:.4f}" for point in points for value in point)]


def _make(out: Path, task: Task, size: int, seed: int, suffix: str) -> dict[str, str] | None:
    """Render one picture and write it, mask first; returns its row of ``artifacts.csv``."""
    cv2.setNumThreads(1)  # the cores are taken by the other processes
    rng = task.rng(seed)
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
        write_whole(out / mask_name, mask.getvalue())
        strength = f"{injected.strength:.3f}"
        row = {"file": f"{task.split}/{name}", "kind": injected.kind, "strength": strength, "mask": mask_name}
    coded = BytesIO()
    Image.fromarray(image).save(coded, "JPEG", quality=quality)
    if suffix == ".png":
        decoded = Image.open(coded).convert("RGB")
        coded = BytesIO()
        decoded.save(coded, "PNG", compress_level=1)
    write_whole(out / task.split / name, coded.getvalue())
    return row


def _is_done(out: Path, task: Task, suffix: str, rows: dict[str, dict[str, str]]) -> bool:
    """Pictures appear under their name only when complete; an artifact also needs its row in the table."""
    name = task.name(suffix)
    if task.kind and f"{task.split}/{name}" not in rows:
        return False
    return (out / task.split / name).is_file()


def write_whole(path: Path, content: bytes) -> None:
    """Whole or not at all; without waiting for the disk, since what a power cut takes can be made again."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
