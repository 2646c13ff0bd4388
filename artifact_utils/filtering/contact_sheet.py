"""The pictures that look worst, side by side on one sheet, for a quick look at what a scoring has found."""

import contextlib
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from artifact_utils.images import ImageError, load_image

TILE, CAPTION, TILE_COLUMNS = 256, 20, 6  # pixels, pixels, pictures


def draw_contact_sheet(folder: Path, worst: list[tuple[float, str]], threshold: float) -> Image.Image:
    """A grid of the pictures that look worst, each with its probability, orange where it is flagged."""
    shown = []
    for probability, path in worst:
        with contextlib.suppress(ImageError):  # it was readable when it was scored, and may have gone since
            image = load_image(folder / path, min_side=TILE)
            tile = ImageOps.pad(image, (TILE - 4, TILE - 4), color="white")  # at once: two dozen may be large
            shown.append((probability, path, tile))
    rows = max(1, -(-len(shown) // TILE_COLUMNS))
    columns = min(max(len(shown), 1), TILE_COLUMNS)
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for i, (probability, path, tile) in enumerate(shown):
        x, y = i % TILE_COLUMNS * TILE, i // TILE_COLUMNS * (TILE + CAPTION)
        sheet.paste(tile, (x + 2, y + 2))
        name = path.rpartition("/")[2].encode("ascii", "replace").decode()
        colour = "#D55E00" if probability >= threshold else "#666666"
        draw.text((x + 4, y + TILE + 1), f"{probability:.3f}  {name[:24]}", fill=colour, font=font)
    return sheet
