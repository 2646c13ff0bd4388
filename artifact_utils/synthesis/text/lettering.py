"""Lettering on the skin, beside the face and in scripts that do not exist."""

from __future__ import annotations

import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import blur, grey, over
from artifact_utils.synthesis.shading import in_tone
from artifact_utils.synthesis.text.glyphs import printed_line
from artifact_utils.synthesis.text.inking import place_letters, readable_ink
from artifact_utils.synthesis.text.scripts import SCRIPTS, script_line


def lettering_on_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """False letters printed into the skin of forehead, cheek or across the face."""
    unit = face.unit
    size = max(int(unit * (0.36 + 0.3 * strength)), 6)
    line = printed_line(rng, size, 0.4 + 0.6 * strength, 1)
    right, down = [(0.0, -0.6), (float(rng.choice([-0.6, 0.6])), 0.7), (0.0, 0.5), (0.0, 1.4)][int(rng.integers(4))]
    scale = min(1.0, 2.0 * unit / line.shape[1])
    alpha = place_letters(
        image.shape, line, face.at(right, down), face.angle + rng.normal(0, 10), scale, rng.normal(0, 0.15)
    )
    ink = readable_ink(rng, image, alpha)
    # Ink in skin keeps some of the skin's light and shadow.
    shade = (grey(image) / np.maximum(blur(grey(image), 0.4 * unit), 1)).clip(0.6, 1.3)[..., None]
    return over(image, np.clip(ink * (0.6 + 0.4 * shade), 0, 255), alpha * (0.75 + 0.25 * strength))


def lettering_beside_face(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A false logo or headline in the background or on the clothes."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.075 + 0.06 * strength)), 6)
    n_lines = int(rng.integers(1, 4))
    lines = [printed_line(rng, size, 0.4 + 0.6 * strength, 1) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    scale = min(1.0, 0.46 * width / widest)
    if rng.random() < 0.5:
        corner = face.at(0, rng.uniform(2.1, 2.5))  # on the chest
    else:
        corner = np.array([rng.choice([0.0, 1.0]) * width, rng.uniform(0.1, 0.6) * height])
    margin = np.array([0.5 * scale * widest, 0.75 * size])
    room = np.array([width, height - 1.2 * size * (n_lines - 1)]) - margin
    corner = np.clip(corner, margin, np.maximum(room, margin))
    angle = rng.normal(0, 4)
    marks = np.zeros((height, width), np.float32)
    for i, line in enumerate(lines):
        np.maximum(
            marks, place_letters(image.shape, line, corner + np.array([0, 1.2 * size * i]), angle, scale), out=marks
        )
    return over(image, readable_ink(rng, image, marks), marks * (0.75 + 0.25 * strength))


def foreign_lettering(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Letters of a script that does not exist, in a line or a column, on the face or beside it."""
    height, width = image.shape[:2]
    size = max(int(min(height, width) * (0.08 + 0.06 * strength)), 7)
    script = str(rng.choice(SCRIPTS[2:]))
    line = script_line(rng, size, script, int(rng.integers(1, 3)), strength)
    upright = script in ("cjk", "runes") and rng.random() < 0.5
    scale = min(1.0, 0.85 * (height if upright else width) / line.shape[1])
    if upright:
        cells = [line[:, i : i + size] for i in range(0, line.shape[1] - size // 2, size)]
        widest = max(cell.shape[1] for cell in cells)
        line = np.concatenate([np.pad(c, ((0, 0), (0, widest - c.shape[1])))[size // 5 :] for c in cells])
        scale = min(1.0, 0.9 * height / line.shape[0])
    if rng.random() < 0.4:
        centre = face.at(rng.normal(0, 0.3), rng.uniform(-0.5, 1.5))
    else:
        margin = 0.5 * scale * np.array([line.shape[1], line.shape[0]])
        centre = margin + rng.random(2) * np.maximum(np.array([width, height]) - 2 * margin, 0)
    alpha = place_letters(image.shape, line, centre, rng.normal(0, 5), scale)
    return over(image, in_tone(image, readable_ink(rng, image, alpha)), alpha * (0.7 + 0.3 * strength))
