"""The pictures that look worst, side by side on one sheet, for a quick look at what a scoring has found."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from artifact_utils.images import ImageError, load_image

TILE, CAPTION, TILE_COLUMNS = 256, 20, 6  # pixels, pixels, pictures


class Worst(NamedTuple):
    """One of the pictures that look worst."""

    probability: float
    path: str
    """Below the folder."""
    family: str = ""
    """The most probable one of the families that count."""


def draw_contact_sheet(folder: Path, worst: list[Worst], threshold: float) -> Image.Image:
    """A grid of the pictures that look worst, each with its probability and family, orange where it is flagged."""
    shown = []
    for picture in worst:
        with contextlib.suppress(ImageError):  # it was readable when it was scored, and may have gone since
            image = load_image(folder / picture.path, min_side=TILE)
            tile = ImageOps.pad(image, (TILE - 4, TILE - 4), color="white")  # at once: two dozen may be large
            shown.append((picture, tile))
    rows = max(1, -(-len(shown) // TILE_COLUMNS))
    columns = min(max(len(shown), 1), TILE_COLUMNS)
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for i, (picture, tile) in enumerate(shown):
        x, y = i % TILE_COLUMNS * TILE, i // TILE_COLUMNS * (TILE + CAPTION)
        sheet.paste(tile, (x + 2, y + 2))
        name = picture.path.rpartition("/")[2].encode("ascii", "replace").decode()
        colour = "#D55E00" if picture.probability >= threshold else "#666666"
        said = f"{picture.probability:.3f} {picture.family}".rstrip()
        draw.text((x + 4, y + TILE + 1), f"{said}  {name[: 28 - len(picture.family)]}", fill=colour, font=font)
    return sheet
