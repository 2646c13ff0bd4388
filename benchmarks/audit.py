"""The audit against CleanVision and imagededup, on the same pictures, in one process.

    python -m pip install cleanvision imagededup   # into a virtual environment of its own, for the comparison
    python benchmarks/audit.py [--n 60] [--size 512] [--hashes 100000] [--photos FOLDER] [--labelled dataset]
    python benchmarks/audit.py --n 0 --hashes 1000000          # the search in large numbers alone

Speed is counted in CPU time, so that what else the machine does matters little. Duplicates are planted: each of ``n``
portraits (of OpenPeople: different expressions of ten people, which look alike) is changed in every way there is. The
character sheets are left out: the first view of some is the neutral expression over again, a duplicate that nobody
planted. In the folder ``labelled``, organised, every twentieth label is turned round, three times over.

The large comparison is that of ``hashes`` thumbnails in a table in parts, one in a hundred of them a copy of another.
They are drawn, or, which is harder, put together from the pictures in the folder ``photos``.
"""

import hashlib
import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from artifact_utils.audit import find_duplicates, find_issues, scan
from artifact_utils.audit.scanning import pictures as pictures_below
from artifact_utils.console import read_arguments, run_cli

SAME_CHECKS = {
    "dark": "dark",
    "bright": "light",
    "blurry": "blurry",
    "low_information": "low_information",
    "odd_size": "odd_size",
    "odd_aspect": "odd_aspect_ratio",
    "grayscale": "grayscale",
}
"""Issues by their names here and in CleanVision."""


def draw_portraits(folder: Path, n: int, size: int) -> list[Image.Image]:
    """Different pictures, some made dark, bright, blurry or grey, so that there is something to flag."""
    from artifact_utils.demo.openpeople import bases, cut_portrait

    rng = np.random.default_rng(0)
    places = [base for person in sorted(bases()) for base in bases()[person] if base.asset != "character_sheet"]
    pictures = []
    for i, place in enumerate(rng.permutation(len(places))[:n]):
        picture = Image.fromarray(cut_portrait(places[place], rng, size)[0])
        picture.save(folder / f"{i:04d}.png")
        pictures.append(picture)
    for i, picture in enumerate(pictures[: n // 8]):
        ImageEnhance.Brightness(picture).enhance(0.15).save(folder / f"dark_{i}.png")
        ImageEnhance.Contrast(ImageEnhance.Brightness(picture).enhance(5)).enhance(0.3).save(folder / f"bright_{i}.png")
        picture.resize((12, 12)).resize((size, size), Image.Resampling.BICUBIC).save(folder / f"blurry_{i}.png")
        picture.convert("L").save(folder / f"grey_{i}.png")
    return pictures


def changes(rng: np.random.Generator) -> dict[str, Callable[[Image.Image], Image.Image]]:
    """What a near-duplicate may have gone through."""

    def crop(picture: Image.Image) -> Image.Image:
        side = round(0.8 * picture.width)
        x, y = rng.integers(0, picture.width - side + 1, 2).tolist()
        return picture.crop((x, y, x + side, y + side))

    def jpeg(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=40)
        return Image.open(buffer)

    def text(picture: Image.Image) -> Image.Image:
        picture = picture.copy()
        place = rng.uniform(0, 0.5) * picture.width, rng.uniform(0, 0.85) * picture.height
        ImageDraw.Draw(picture).text(place, "SAMPLE", "white", ImageFont.load_default(picture.width // 10))
        return picture

    return {
        "mirrored": ImageOps.mirror,
        "upside down": ImageOps.flip,
        "turned by 90": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
        "turned by 270": lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
        "cropped to 80%": crop,
        "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
        "JPEG 40": jpeg,
        "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
        "paler": lambda picture: ImageEnhance.Color(picture).enhance(0.6),
        "text": text,
    }


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU time of this process and of those it waited for."""
    started = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    function()
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) - started


def against_cleanvision(folder: Path) -> None:
    try:
        from cleanvision import Imagelab
    except ImportError:
        print("CleanVision is not installed (python -m pip install cleanvision): not compared")
        return
    n = len(list(folder.iterdir()))
    ours, theirs = [], []
    for _ in range(3):  # in turn, and the best of each: what else the machine does slows either
        lab = Imagelab(data_path=str(folder))
        theirs.append(cpu_seconds(lambda lab=lab: lab.find_issues(n_jobs=1, verbose=False)))
        ours += [cpu_seconds(lambda: scan(folder, workers=1)) for _ in range(2)]
    print(f"{folder.name}: scan {n / min(ours):.1f} img/s of CPU time, ", end="")
    print(f"CleanVision {n / min(theirs):.1f}: {min(theirs) / min(ours):.2f} times as fast")
    issues = find_issues(scan(folder)).set_index("path")
    found = lab.issues.rename(index=lambda path: Path(path).name)
    for name, other in SAME_CHECKS.items():
        same = issues[f"is_{name}"] == found[f"is_{other}_issue"].reindex(issues.index)
        print(f"  {name}: {same.mean():.1%} of the flags agree, {issues[f'is_{name}'].sum()} flagged")


def find_planted(pictures: list[Image.Image], folder: Path) -> None:
    rng = np.random.default_rng(1)
    for i, picture in enumerate(pictures):
        picture.save(folder / f"{i:04d} original.png")
        for name, change in changes(rng).items():
            change(picture).save(folder / f"{i:04d} {name}.png")
    table = scan(folder)
    number = table["path"].str[:4].to_numpy()
    found: list[pd.DataFrame] = []
    seconds = cpu_seconds(lambda: found.append(find_duplicates(table)))
    group = found[0].set_index("path")["group"].reindex(table["path"]).to_numpy()
    together = group[:, None] == group[None]  # NaN, no group, equals nothing
    same = number[:, None] == number[None]
    np.fill_diagonal(same, False)
    np.fill_diagonal(together, False)
    right = (together & same).sum()
    print(f"duplicates of {len(pictures)} portraits: precision {right / max(together.sum(), 1):.3f}, ", end="")
    print(f"recall {right / same.sum():.3f} over all pairs of a group, {seconds:.1f} s of CPU time")
    group_of = pd.Series(group, index=table["path"])
    for name in changes(rng):
        hits = [group_of[f"{i:04d} original.png"] == group_of[f"{i:04d} {name}.png"] for i in range(len(pictures))]
        print(f"  {name}: {np.mean(hits):.3f}")
    try:
        from imagededup.methods import PHash
    except ImportError:
        print("imagededup is not installed (python -m pip install imagededup): not compared")
        return
    hasher = PHash(verbose=False)
    theirs = hasher.find_duplicates(image_dir=folder, num_enc_workers=0, num_dist_workers=0)
    pairs = [(path, other) for path, others in theirs.items() for other in others]
    right = sum(path[:4] == other[:4] for path, other in pairs)
    print(f"imagededup PHash: precision {right / max(len(pairs), 1):.3f}, recall {right / same.sum():.3f}")


def save_as_jpeg(folder: Path, other: Path) -> None:
    for file in folder.iterdir():
        Image.open(file).save(other / f"{file.stem}.jpg", quality=90)


def made_up(n: int, rng: np.random.Generator) -> list[bytes]:
    """Thumbnails of 64 x 64 pixels that have, like photographs, ever less of ever finer waves."""
    coarse = rng.normal(size=(n, 8, 8)).cumsum(axis=1).cumsum(axis=2)
    coarse -= coarse.min(axis=(1, 2), keepdims=True)
    coarse *= 255 / coarse.max(axis=(1, 2), keepdims=True)
    return [
        np.asarray(Image.fromarray(row).resize((64, 64), Image.Resampling.BICUBIC)).tobytes()
        for row in coarse.astype(np.uint8)
    ]


def put_together(n: int, rng: np.random.Generator, photos: npt.NDArray[np.uint8]) -> list[bytes]:
    """Thumbnails of 64 x 64 pixels, each of a photo that is warped, shifted, scaled and lit at random, half of them
    blended with another along smooth lines: alike in the large as portraits are, but no two agree to a pixel.

    Args:
        n: how many.
        rng: of everything random.
        photos: (N, 96, 96) grey.
    """

    def field(cells: int) -> npt.NDArray[np.float32]:
        return cv2.resize(rng.normal(size=(cells, cells)).astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)

    def warped() -> npt.NDArray[np.float32]:
        y, x = np.indices((64, 64), np.float32) / 63
        scale, flip = rng.uniform(0.75, 1), rng.integers(2)
        left, top = rng.uniform(0, 1 - scale, 2).tolist()
        x = left + scale * ((1 - x) if flip else x) + 0.03 * field(5)
        y = top + scale * y + 0.03 * field(5)
        photo = photos[rng.integers(len(photos))].astype(np.float32)
        return cv2.remap(photo, 95 * x, 95 * y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    thumbnails = []
    for _ in range(n):
        mixed = warped()
        if rng.integers(2):
            share = 1 / (1 + np.exp(-6 * field(3)))
            mixed = share * mixed + (1 - share) * warped()
        lit = mixed * (1 + 0.15 * field(3)) + rng.uniform(-20, 20)
        thumbnails.append(np.clip(lit, 0, 255).astype(np.uint8).tobytes())
    return thumbnails


def thumbnail(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((64, 64), Image.Resampling.BILINEAR).tobytes()


def write_parts(folder: Path, n: int, per_kind: int, photos: npt.NDArray[np.uint8] | None) -> None:
    """What a scan would leave of ``n`` pictures; of each kind of copy so many, half of the set behind the originals."""
    rng = np.random.default_rng(0)
    kinds = list(changes(rng).values())
    copies: list[bytes] = []
    for start in range(0, n, 1000):
        rows = made_up(1000, rng) if photos is None else put_together(1000, rng, photos)
        for i in range(len(rows)):
            if start + i < per_kind * len(kinds):
                large = Image.frombytes("L", (64, 64), rows[i]).resize((256, 256), Image.Resampling.BICUBIC)
                rows[i] = thumbnail(large)
                copies.append(thumbnail(kinds[(start + i) // per_kind](large.convert("RGB"))))
            elif n // 2 <= start + i < n // 2 + len(copies):
                rows[i] = copies[start + i - n // 2]
        rows = rows[: n - start]
        names = [f"{start + i:09d}.jpg" for i in range(len(rows))]
        columns = {
            "path": names,
            "split": [""] * len(rows),
            "class_name": [""] * len(rows),
            "readable": [True] * len(rows),
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
            "thumbnail": rows,
        }
        pq.write_table(pa.table(columns), folder / f"part-{start // 1000:08d}.parquet", compression="zstd")


def compare_many(n: int, photos: Path | None) -> None:
    """Time and memory of the search among ``n`` pictures, and how many copies of each kind are found among them."""
    per_kind = n // 1000
    kinds = list(changes(np.random.default_rng(0)))
    with tempfile.TemporaryDirectory() as folder:
        write_parts(Path(folder), n, per_kind, None if photos is None else small_photos(photos))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cpu, started = time.process_time(), time.perf_counter()
        found = find_duplicates(folder)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:,} pictures {'drawn' if photos is None else 'put together from photos'}, compared ", end="")
    print(f"in {seconds:.1f} s ({cpu:.1f} s of CPU time), peak memory {peak:.2f} GB ({before:.2f} before)")
    group = np.full(n, -1)
    group[found["path"].str[:9].astype(int)] = found["group"]
    originals = np.arange(per_kind * len(kinds))
    together = (group[originals] >= 0) & (group[originals] == group[n // 2 + originals])
    for name, hits in zip(kinds, together.reshape(len(kinds), -1), strict=True):
        print(f"  {name}: {hits.mean():.3f} of {per_kind:,} found")
    planted = np.zeros(n, bool)
    planted[originals] = planted[n // 2 + originals] = True
    print(f"  all kinds: {together.mean():.3f}; {(~planted & (group >= 0)).sum():,} other pictures in groups")


def small_photos(folder: Path) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(file).convert("L").resize((96, 96))) for file in pictures_below(folder)])


def find_flipped(folder: Path) -> None:
    """How many of the labels turned round on purpose are among the most suspicious tenth."""
    from artifact_utils.audit.label_errors import (
        embed,
        find_label_errors,
    )  # PyTorch, which the search needs no memory for
    from artifact_utils.portraits import list_portraits

    portraits = list_portraits(folder, "train")
    labels = np.array([portrait.label for portrait in portraits])
    people = np.array([portrait.group for portrait in portraits])
    embeddings = embed([portrait.path for portrait in portraits])
    shares = []
    for seed in range(3):
        flipped = np.random.default_rng(seed).permutation(len(labels))[: len(labels) // 20]
        given = labels.copy()
        given[flipped] = 1 - given[flipped]
        rank = find_label_errors(embeddings, given, people, seed=seed)["rank"].to_numpy()
        shares.append((rank[flipped] <= len(labels) // 10).mean())
    print(f"of 5% of the labels turned round, {', '.join(f'{share:.0%}' for share in shares)} (three draws) ", end="")
    print(f"are in the most suspicious tenth of {len(labels):,}")


def main(
    n: int = 60, size: int = 512, hashes: int = 100_000, photos: Path | None = None, labelled: Path | None = None
) -> None:
    """Print ratios, agreement, precision and recall; ``hashes`` 0 leaves out the large comparison, ``n`` 0 the rest."""
    if labelled:
        find_flipped(labelled)
    if hashes:
        compare_many(hashes, photos)
    if not n:
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as planted:
        pngs, jpegs = Path(folder) / "png", Path(folder) / "jpeg"
        pngs.mkdir()
        jpegs.mkdir()
        pictures = draw_portraits(pngs, n, size)
        save_as_jpeg(pngs, jpegs)
        against_cleanvision(pngs)
        against_cleanvision(jpegs)
        find_planted(pictures, Path(planted))


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
