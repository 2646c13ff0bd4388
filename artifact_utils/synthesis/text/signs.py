"""Signs behind the person: logos, boards in perspective, small writing far away."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, grey, over
from artifact_utils.synthesis.geometry import ellipse, grid, polygon
from artifact_utils.synthesis.shading import hue, in_tone
from artifact_utils.synthesis.text.inking import lettered_sheet, place_letters, readable_ink
from artifact_utils.synthesis.text.scripts import any_line


def logo(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An emblem of no brand, a shield, disc or star with false letters, on cap, chest, cheek or backdrop."""
    height, width = image.shape[:2]
    radius = face.unit * (0.42 + 0.25 * strength)
    side = rng.choice([-1, 1])
    places = [(0.0, -1.2), (0.7 * side, 2.3), (0.6 * side, 0.6), (2.0 * side, -0.6), (0.0, 2.4)]
    centre = np.clip(face.at(*places[int(rng.integers(5))]), radius, np.array([width, height]) - radius)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False) - np.pi / 2
    corners = int(rng.choice([0, 3, 4, 5, 6]))
    spikes = 1 + (0.25 * np.cos(corners * (turn + np.pi / 2)) if corners else 0.0)
    outline = centre + radius * np.stack([np.cos(turn) * spikes, np.sin(turn) * spikes], axis=1)
    shape = blur(polygon(image.shape, outline), 0.4)
    core = blur(polygon(image.shape, centre + (outline - centre) * 0.84), 0.4)
    colour, other = hue(image, rng, (120, 230), (60, 230)), np.full(3, rng.choice([245.0, 20.0]))
    # A print: it keeps the folds and the shade of what it is on.
    shade = np.clip(grey(image) / np.maximum(blur(grey(image), 0.4 * face.unit), 8), 0.6, 1.35)[..., None]
    opacity = 0.7 + 0.3 * strength
    changed = over(image, np.clip(other * shade, 0, 255), shape * opacity)
    changed = over(changed, np.clip(colour * shade, 0, 255), core * opacity)
    size = max(int(0.62 * radius), 6)
    line = any_line(rng, size, 0.5 + 0.5 * strength, 1)
    alpha = place_letters(image.shape, line, centre, face.angle, min(1.0, 1.7 * radius / line.shape[1]))
    return over(changed, np.clip(other * shade, 0, 255), alpha)


def _board(
    shape: tuple[int, ...], rng: np.random.Generator, centre: np.ndarray, half: np.ndarray, slant: float
) -> np.ndarray:
    """Four corners (4, 2) of a board seen at an angle: one side nearer than the other."""
    near, lean = 1 + slant * rng.choice([-1, 1]), rng.normal(0, 0.12)
    corners = np.array([[-1, -near], [1, -(2 - near)], [1, 2 - near], [-1, near]])
    corners[:, 1] += lean * corners[:, 0]
    return np.clip(centre + corners * half, [-0.3 * shape[1]] * 2, [1.3 * shape[1]] * 2)


def slanted_sign(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A sign beside the face with false writing, seen in perspective and a little out of focus."""
    height, width = image.shape[:2]
    half = np.array([(0.13 + 0.07 * strength) * width, (0.09 + 0.06 * strength) * height])
    side = rng.choice([-1, 1])
    centre = np.array([face.eyes[0] + side * 0.36 * width, rng.uniform(0.14, 0.5) * height])
    centre = np.clip(centre, 0.8 * half, np.array([width, height]) - 0.8 * half)
    corners = _board(image.shape, rng, centre, half, rng.uniform(0.1, 0.4))
    size = 22
    n_lines = int(rng.integers(1, 4))
    lines = [any_line(rng, size, 0.4 + 0.6 * strength, 1) for _ in range(n_lines)]
    widest = max(line.shape[1] for line in lines)
    sheet = np.concatenate([cv2.resize(line, (widest, line.shape[0])) for line in lines])
    sheet = np.pad(sheet, ((6, 6), (6, 6)))
    source = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]], np.float32)
    view = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    softness = rng.uniform(0.3, 0.9) * width / 256
    letters = blur(cv2.warpPerspective(sheet, view, (width, height), flags=cv2.INTER_AREA), softness)
    plate = blur(polygon(image.shape, corners), softness)
    bare = rng.random() < 0.3  # letters on the wall
    colour = hue(image, rng, (0, 200), (60, 245))
    light = 0.85 + 0.15 * blur(plate, 0.1 * width)
    changed = image if bare else over(image, colour * light[..., None], plate * 0.95)
    ink = in_tone(image, readable_ink(rng, changed, letters))
    return add_grain(over(changed, ink, letters * 0.95), np.maximum(plate * (not bare), letters), rng, like=image)


def far_sign(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A sign, poster or shop front far behind with false writing, as soft as what is round it and behind the head."""
    height, width = image.shape[:2]
    half = np.array([rng.uniform(0.09, 0.2) * width, rng.uniform(0.035, 0.09) * height]) * (0.8 + 0.4 * strength)
    if rng.random() < 0.2:
        half = half[::-1]
    left = rng.random() < (0.8 if face.eyes[0] > width / 2 else 0.2)
    reach = face.at(-1.5 if left else 1.5, 0)[0]
    column = rng.uniform(0, max(reach, 0.16 * width)) if left else rng.uniform(min(reach, 0.84 * width), width)
    centre = np.array([column, rng.uniform(0.06, 0.55) * height])
    near = rng.uniform(0.75, 1.25)
    corners = centre + half * np.array([[-1, -near], [1, -(2 - near)], [1, 2 - near], [-1, near]])
    sheet = np.pad(lettered_sheet(rng, strength, int(rng.integers(1, 3))), 8)
    source = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]], np.float32)
    view = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    shrink = sheet.shape[1] / max(2 * half[0], 1)
    letters = cv2.warpPerspective(blur(sheet, 0.4 * max(shrink - 1, 0)), view, (width, height))
    head = ellipse(image.shape, face.at(0, 0.25), (1.5 * face.unit, 2.0 * face.unit), face.angle, feather=0.15)
    x, y = grid(image.shape)
    slope = np.abs(x - np.float32(face.chin[0])) / np.float32(face.unit)
    body = np.clip((y - np.float32(face.at(0, 2.0)[1])) / np.float32(face.unit) - 0.35 * (slope - 1) + 0.5, 0, 1)
    behind = (1 - head) * (1 - body * (slope < 3))
    softness = rng.uniform(0.002, 0.006) * height * (1.2 - 0.5 * strength)
    plate, letters = blur(polygon(image.shape, corners), softness) * behind, blur(letters, softness) * behind
    if rng.random() < 0.65:
        about = blur(image, 0.05 * height)
        colour = 0.5 * hue(image, rng, (40, 220), (40, 230)) + 0.3 * about
        image = add_grain(over(image, colour.astype(np.float32), plate * 0.92), plate, rng, like=image)
    if letters.sum() < 2:
        return image
    ink = 0.85 * in_tone(image, readable_ink(rng, image, letters)) + 0.1 * image.mean(axis=(0, 1))
    return over(image, ink, letters * (0.65 + 0.3 * strength))
