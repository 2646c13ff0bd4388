"""Folders for scorings in large numbers: portraits that are quick to draw, and hostile files among them."""

import os
import random
from pathlib import Path

from faults import hostile_pictures
from helpers import draw_portrait

from artifact_utils.images import ImageError, decode_with_size

N_DRAWN = 20  # portraits; the rest are like them


def draw_folder(folder: Path, n: int) -> Path:
    """Draw ``n`` portraits, most of them other names of a few."""
    for i in range(n):
        path = folder / f"{i // 100:03d}" / f"{i:06d}.png"
        if i < N_DRAWN:
            draw_portrait(path, seed=i, artifact=i % 2 == 0)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / "000" / f"{i % N_DRAWN:06d}.png", path)
    return folder


def draw_mixed(folder: Path, n: int, seed: int = 0, each: int = 100) -> set[str]:
    """Draw ``n`` files of different bytes, one of ``each`` hostile; returns the names of those that no one can read."""
    rng, hostile, portraits = random.Random(seed), set[str](), list[bytes]()
    for i in range(n):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.png"
        if i < N_DRAWN:
            draw_portrait(path, seed=i, artifact=i % 2 == 0)
            portraits.append(path.read_bytes())
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % each == each - 1:
            path = path.with_suffix(rng.choice([".png", ".jpg", ".webp"]))
            path.write_bytes(draw_unreadable(rng, len(hostile)))
            hostile.add(path.relative_to(folder).as_posix())
        else:
            path.write_bytes(portraits[i % N_DRAWN] + f"{i}".encode())  # behind the end of the picture
    return hostile


def draw_unreadable(rng: random.Random, number: int) -> bytes:
    """Bytes that are refused: cut off, empty, of a huge size by their header, damaged, or text and other things."""
    kinds: list[hostile_pictures.Draw] = [
        hostile_pictures.truncated, lambda _: b"", hostile_pictures.pixel_bomb, lambda _: f"text {number}\n".encode(),
        hostile_pictures.no_picture, hostile_pictures.webp_bomb, hostile_pictures.chunks, hostile_pictures.odd_bmp,
    ]  # fmt: skip
    draw = kinds[number % len(kinds)]
    while True:
        content = draw(rng)
        try:
            decode_with_size(content, "hostile", min_side=64)
        except ImageError:
            return content
