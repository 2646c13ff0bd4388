"""Where the face is: the five points that every artifact is placed by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Point = tuple[float, float]

FACE_COLUMNS = tuple(f"{point}_{axis}" for point in ("left_eye", "right_eye", "nose", "mouth", "chin") for axis in "xy")
"""Of ``faces.csv``, beside ``path``: shares of the width and the height, left and right are the viewer's."""


@dataclass(frozen=True)
class Face:
    """Five points of a face, ``(x, y)`` in pixels of the picture; left and right are the viewer's.

    In a side view the hidden eye is given the position of the visible one.

    The face has its own frame of reference, see :meth:`at`: the origin between the eyes, the unit the distance from
    there to the mouth. In it the chin lies near (0, 1.65), the hairline near (0, -1), the cheeks near (+-0.75, 0.6).
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth: Point
    chin: Point

    @classmethod
    def guess(cls, height: int, width: int) -> Face:
        """Where a face usually is in a portrait of ``height`` x ``width`` pixels."""
        unit = 0.19 * min(height, width)
        x, y = width / 2, 0.44 * height

        def point(right: float, down: float) -> Point:
            return x + right * unit, y + down * unit

        return cls(point(-0.5, 0), point(0.5, 0), point(0, 0.55), point(0, 1), point(0, 1.65))

    @cached_property
    def eyes(self) -> np.ndarray:
        """The middle between the eyes, (2,)."""
        return (np.array(self.left_eye, dtype=float) + self.right_eye) / 2

    @cached_property
    def unit(self) -> float:
        """Distance from between the eyes to the mouth in pixels."""
        return max(float(np.hypot(*(np.array(self.mouth) - self.eyes))), 4.0)

    @cached_property
    def down(self) -> np.ndarray:
        """Unit vector from the eyes to the chin, (2,)."""
        axis = np.array(self.chin, dtype=float) - self.eyes
        length = float(np.hypot(*axis))
        return axis / length if length > 1e-6 else np.array([0.0, 1.0])

    @cached_property
    def right(self) -> np.ndarray:
        """Unit vector to the viewer's right along the line of the eyes, (2,)."""
        return np.array([self.down[1], -self.down[0]])

    @property
    def angle(self) -> float:
        """Tilt of the head in degrees, positive clockwise on the screen."""
        return float(np.degrees(np.arctan2(self.right[1], self.right[0])))

    @cached_property
    def facing(self) -> float:
        """How far the head is turned: 0 frontal, -1 a view from the side looking left, 1 looking right."""
        offset = float((np.array(self.nose) - self.eyes) @ self.right) / self.unit
        return float(np.clip(offset / 0.5, -1, 1))

    @property
    def is_profile(self) -> bool:
        """Whether only one eye can be seen."""
        return float(np.hypot(*(np.array(self.left_eye) - self.right_eye))) < 0.3 * self.unit

    def at(self, right: float, down: float) -> np.ndarray:
        """The pixel position (2,) of a point given in the face's own frame, in units.

        In a side view the frame moves from the eye to the middle of the cheek, so that (0, 0.5) is on the skin.
        """
        shift = -0.45 * self.facing if self.is_profile else 0.0
        return self.eyes + self.right * (right + shift) * self.unit + self.down * down * self.unit

    def moved(self, matrix: np.ndarray, *, mirrored: bool = False) -> Face:
        """The face after an affine map ``matrix`` (2, 3) of the picture; ``mirrored`` swaps left and right."""
        points = np.array([self.left_eye, self.right_eye, self.nose, self.mouth, self.chin], dtype=float)
        moved = [(float(x), float(y)) for x, y in points @ matrix[:, :2].T + matrix[:, 2]]
        if mirrored:
            moved[0], moved[1] = moved[1], moved[0]
        return Face(*moved)
