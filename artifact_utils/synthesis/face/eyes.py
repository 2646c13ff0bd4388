"""Eyes gone wrong: doubled, of two colours, looking two ways, glowing, red, missing, or grown shut."""

from __future__ import annotations

import cv2
import numpy as np

from artifact_utils.faces import Face
from artifact_utils.synthesis.compositing import add_grain, blur, copy_patch, grey, over
from artifact_utils.synthesis.drawing import iris_centre
from artifact_utils.synthesis.geometry import around, curve, ellipse, grid, put_back, smooth_noise, stroke
from artifact_utils.synthesis.shading import hue, in_tone, own_colours


def random_eye(rng: np.random.Generator, face: Face) -> np.ndarray:
    """The centre (2,) of one of the two eyes; in a side view of the visible one."""
    if face.is_profile:
        return face.eyes
    return np.array(face.left_eye if rng.random() < 0.5 else face.right_eye, dtype=float)


def doubled_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """A second eye above, below or beside an eye."""
    unit = face.unit
    eye = random_eye(rng, face)
    outwards = np.sign((eye - face.eyes) @ face.right) or 1.0
    down = rng.choice([-1, 1], p=[0.4, 0.6]) * rng.uniform(0.36, 0.5)
    if face.is_profile:  # above or beside the eye there is only hair or background
        outwards, down = -face.facing, abs(down)
    target = eye + face.down * down * unit + face.right * outwards * rng.uniform(-0.05, 0.2) * unit
    scale = 0.75 + 0.3 * strength
    return copy_patch(image, eye, target, (0.48 * unit, 0.3 * unit), face.angle, turn=rng.normal(0, 10), scale=scale)


def third_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """An eye on the forehead, the cheek or the chin."""
    unit = face.unit
    eye = random_eye(rng, face)
    places = [(rng.normal(0, 0.15), -0.6), (rng.choice([-1, 1]) * 0.62, 0.68), (0.0, 1.4)]
    target = face.at(*places[int(rng.choice(3, p=[0.5, 0.4, 0.1]))])
    if face.is_profile:
        target = face.at(rng.normal(0, 0.1), rng.uniform(0.5, 0.9))
    scale = 0.7 + 0.5 * strength
    turn = rng.normal(0, 15 + 30 * strength)
    mirror = bool(rng.random() < 0.3)
    return copy_patch(image, eye, target, (0.45 * unit, 0.28 * unit), face.angle, turn=turn, scale=scale, mirror=mirror)


def _drawn_eye(
    image: np.ndarray,
    rng: np.random.Generator,
    face: Face,
    eye: np.ndarray,
    *,
    size: float,
    iris: np.ndarray,
    gaze: tuple[float, float],
    pupil: float,
) -> np.ndarray:
    """An open eye painted over one at ``eye`` (2,).

    ``size`` is half its width in units, ``gaze`` the place of the iris as shares of the eye's half width and height,
    ``pupil`` the pupil's share of the iris.
    """
    bright, dark = own_colours(image, face)
    window, part, _ = around(image, face, eye, 1.6 * size * face.unit)
    x, y = grid(part.shape)
    x, y = x - np.float32(eye[0] - window[1].start), y - np.float32(eye[1] - window[0].start)
    half = size * face.unit
    u = (x * np.float32(face.right[0]) + y * np.float32(face.right[1])) / np.float32(half)
    v = (x * np.float32(face.down[0]) + y * np.float32(face.down[1])) / np.float32(half)
    tall = 0.52
    lid = tall * np.clip(1 - u * u, 0, 1) * np.where(v < 0, 1.0, 0.8).astype(np.float32)
    edge = np.float32(max(1.2 / half, 0.06))
    opening = np.clip((lid - np.abs(v)) / edge + 0.5, 0, 1) * (np.abs(u) < 1)
    white = (0.45 * bright + 0.55 * bright.mean()) * (0.92 - 0.25 * np.clip(-v / tall, 0, 1) - 0.15 * u * u)[..., None]
    r = np.hypot(u - np.float32(gaze[0] * 0.6), v - np.float32(gaze[1] * tall * 0.5)) / np.float32(0.46)
    fibres = 1 + 0.25 * smooth_noise(rng, part.shape, max(0.06 * half, 1.0)) * np.clip(r, 0, 1)
    disc = np.clip((1 - r) / (edge / 0.4), 0, 1)
    ring = np.clip((r - 0.75) / 0.25, 0, 1)
    tone = iris * (fibres * (1.05 - 0.55 * ring) * (0.9 + 0.3 * np.clip(v / tall + 0.3, 0, 1)))[..., None]
    layer = over(white.astype(np.float32), tone.astype(np.float32), disc)
    if pupil > 0:
        layer = over(layer, dark * 0.4, np.clip((pupil - r) / (edge / 0.4) + 0.5, 0, 1))
    gleam = np.hypot(u - np.float32(gaze[0] * 0.6 - 0.12), v - np.float32(gaze[1] * tall * 0.5 - 0.14)) / 0.1
    layer = over(layer, np.full(3, min(bright.mean() * 1.2, 255.0)), np.clip(1.4 - gleam, 0, 1) * 0.85)
    lashes = np.clip(1 - np.abs(v + lid) / (0.1 + 0.05 * (v < 0)), 0, 1) * (np.abs(u) < 1.02) * (v < 0.05)
    fold = ellipse(part.shape, eye - [window[1].start, window[0].start], (1.35 * half, 0.8 * half), face.angle)
    # What is left of the old eye is smoothed away under the new one.
    base = over(part, blur(part, 0.16 * half), np.clip(fold, 0, 1))
    changed = over(over(base, layer, blur(opening, 0.5)), dark, 0.8 * blur(lashes.astype(np.float32), 0.5))
    return put_back(image, window, add_grain(changed, opening, rng, like=image))


def odd_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye has another colour and shape than its neighbour, sometimes without a pupil."""
    eye = random_eye(rng, face)
    iris = hue(image, rng, (90, 230), (110, 250))
    gaze = (rng.normal(0, 0.2), rng.normal(0, 0.2))
    pupil = 0.0 if rng.random() < 0.3 else rng.uniform(0.25, 0.6)
    size = 0.27 + 0.12 * strength
    return _drawn_eye(image, rng, face, eye, size=size, iris=iris, gaze=gaze, pupil=pupil)


def wandering_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye looks far to the side, up or down, as the other one does not."""
    _, dark = own_colours(image, face)
    way = rng.uniform(0, 2 * np.pi)
    gaze = ((0.75 + 0.35 * strength) * np.cos(way), (0.9 + 0.4 * strength) * np.sin(way))
    iris = dark * rng.uniform(1.3, 2.2) + rng.uniform(10, 40)
    size = 0.28 + 0.06 * strength
    eye = random_eye(rng, face)
    return _drawn_eye(image, rng, face, eye, size=size, iris=iris, gaze=gaze, pupil=rng.uniform(0.35, 0.5))


def glowing_eyes(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Both eyes filled with red, orange or a cold glow that spills onto the lids."""
    unit = face.unit
    tints = ((255, 60, 40), (255, 140, 30), (120, 220, 255), (255, 250, 235), (190, 20, 25))
    colour = in_tone(image, tints[int(rng.integers(len(tints)))])
    halo = np.zeros(image.shape[:2], np.float32)
    core = np.zeros_like(halo)
    for eye in (face.left_eye, face.right_eye):
        wobble = 0.25 * smooth_noise(rng, image.shape, 0.12 * unit)
        radii = (0.25 + 0.05 * strength) * unit, (0.11 + 0.04 * strength) * unit
        np.maximum(core, ellipse(image.shape, eye, radii, face.angle, feather=0.5, wobble=wobble), out=core)
        wide = (0.45 * unit, 0.3 * unit)
        np.maximum(halo, ellipse(image.shape, eye, wide, face.angle, feather=0.95), out=halo)
    glow = over(image, image * 0.45 + colour * 0.65, halo * (0.4 + 0.4 * strength))
    return np.minimum(over(glow, colour * 0.75 + 60, core * (0.7 + 0.3 * strength)), 255)


def missing_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Smooth skin where an eye should be."""
    unit = face.unit
    eye = random_eye(rng, face)
    outwards = float(np.sign((eye - face.eyes) @ face.right)) or -face.facing
    cheek = eye + face.down * rng.uniform(0.52, 0.62) * unit + face.right * outwards * 0.08 * unit
    radii = ((0.46 + 0.1 * strength) * unit, (0.26 + 0.08 * strength) * unit)
    window, part, _ = around(image, face, eye, 1.2 * unit)
    move = cheek - eye
    back = np.array([[1, 0, move[0]], [0, 1, move[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    skin = cv2.warpAffine(part, back, part.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    centre = eye - [window[1].start, window[0].start]
    alpha = ellipse(part.shape, centre, radii, face.angle, feather=0.55)
    # The skin keeps its own tone, but for the slow fall of light: bent to the lashes and the brow it would turn brown.
    light = np.clip(blur(part, 0.6 * unit) - blur(skin, 0.6 * unit), -14, 14)
    covered = over(part, skin + 0.6 * light, alpha)
    hollow = ellipse(part.shape, centre, (0.34 * unit, 0.2 * unit), face.angle, feather=0.9)
    return put_back(image, window, covered * (1 - 0.1 * hollow[..., None]))


def sealed_eye(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One eye grown shut: skin runs over it and leaves a crooked crease, while the other eye is open."""
    unit = face.unit
    state = rng.random()
    covered = missing_eye(image, rng, strength, face)
    _, dark = own_colours(image, face)
    # The crease lies where the picture changed most: on the eye that was covered.
    changes = [float(np.abs(_spot(covered, e, unit) - _spot(image, e, unit)).mean()) for e in _both(face)]
    eye = _both(face)[int(np.argmax(changes))]
    places = np.linspace(-0.3, 0.3, 5)
    sag = 0.07 + 0.06 * strength * state
    dips = sag * (1 - (places / 0.3) ** 2) + rng.normal(0, 0.02 + 0.02 * strength, 5)
    line = curve(eye + unit * (np.outer(places, face.right) + np.outer(dips + 0.04, face.down)), 40)
    alpha = blur(stroke(image.shape, line, max(0.045 * unit, 1)), 0.02 * unit + 0.3)
    lip = blur(stroke(image.shape, line + face.down * 0.05 * unit, max(0.06 * unit, 1)), 0.03 * unit + 0.3)
    lighter = over(covered, np.minimum(covered * 1.14 + 6, 255), lip)
    return over(lighter, 0.6 * dark + 0.25 * lighter, alpha * (0.6 + 0.3 * strength))


def _both(face: Face) -> list[np.ndarray]:
    return [np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)]


def _spot(image: np.ndarray, centre: np.ndarray, unit: float) -> np.ndarray:
    x, y, r = int(centre[0]), int(centre[1]), max(int(0.2 * unit), 1)
    return image[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]


_RED = ((200, 26, 22), (235, 60, 30), (150, 18, 34), (255, 120, 40))


def red_irises(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """One iris or both red, blotchy, without a pupil or glowing; the other one, if left, is what it was."""
    unit = face.unit
    colour = in_tone(image, _RED[int(rng.integers(4))])
    eyes = [np.array(face.left_eye, dtype=float), np.array(face.right_eye, dtype=float)]
    if rng.random() < 0.4 and not face.is_profile:
        eyes = [eyes[int(rng.integers(2))]]
    glows, blind = rng.random() < 0.4, rng.random() < 0.5
    for eye in eyes:
        window, part, _ = around(image, face, eye, 0.6 * unit)
        centre = iris_centre(image, eye, unit) - [window[1].start, window[0].start]
        radius = unit * rng.uniform(0.085, 0.115) * (0.95 + 0.25 * strength)
        wobble = (0.15 + 0.2 * strength) * smooth_noise(rng, part.shape, 0.09 * unit + 1)
        disc = ellipse(part.shape, centre, (radius, 0.9 * radius), feather=0.3, wobble=wobble)
        halo = ellipse(part.shape, centre, (2.6 * radius, 1.6 * radius), feather=0.9)
        level = grey(part)[..., None] / 255
        blotch = 0.8 + 0.5 * smooth_noise(rng, part.shape, 0.05 * unit + 1)[..., None]
        tone = np.clip(colour * (0.35 + 0.9 * level) * blotch + 30 * level, 0, 255).astype(np.float32)
        changed = over(part, part * in_tone(image, (255, 200, 195)) / 235, halo * (0.35 + 0.3 * strength))
        changed = over(changed, tone, disc * (0.75 + 0.25 * strength))
        if not blind:
            pupil = ellipse(part.shape, centre, (0.35 * radius, 0.35 * radius), feather=0.4)
            changed = over(changed, (16.0, 8.0, 8.0), 0.85 * pupil)
        if glows:
            core = ellipse(part.shape, centre, (0.75 * radius, 0.6 * radius), feather=0.7)
            shine = 0.8 * blur(disc, 0.09 * unit) * (0.4 + 0.5 * strength)
            changed = np.clip(changed + colour * shine[..., None] + 90 * core[..., None], 0, 255)
        image = put_back(image, window, changed)
    return image


def eye_flares(image: np.ndarray, rng: np.random.Generator, strength: float, face: Face) -> np.ndarray:
    """Glowing patches or dots with no source: at the corners of the eyes, under them, on cheeks or lip."""
    unit = face.unit
    window, part, local = around(image, face, face.at(0, 0.4), 1.5 * unit)
    colour = in_tone(image, ((255, 140, 30), (255, 50, 40), (255, 205, 120), (255, 250, 235))[int(rng.integers(4))])
    core = np.zeros(part.shape[:2], np.float32)
    mirrored = rng.random() < 0.5
    for _ in range(int(rng.integers(1, 3 + round(2 * strength)))):
        right, down = rng.uniform(0.15, 0.85), float(rng.choice([rng.normal(0, 0.08), rng.uniform(0.2, 1.0)]))
        radii = unit * rng.uniform(0.03, 0.12), unit * rng.uniform(0.02, 0.05)
        turn = rng.normal(0, 35)
        for side in (-1, 1) if mirrored else (rng.choice([-1, 1]),):
            wobble = 0.35 * smooth_noise(rng, part.shape, 0.08 * unit + 1)
            spot = ellipse(part.shape, local.at(side * right, down), radii, side * turn, feather=0.4, wobble=wobble)
            np.maximum(core, spot, out=core)
    halo = blur(core, 0.06 * unit)
    lit_skin = part + colour * (halo * (0.3 + 0.5 * strength))[..., None]
    return put_back(image, window, np.clip(over(lit_skin, 0.75 * colour + 60, core * (0.7 + 0.3 * strength)), 0, 255))
