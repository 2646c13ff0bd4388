"""The face in a portrait: five points that artifacts are placed by, and how they are found in any picture.

>>> import numpy as np
>>> from artifact_utils.faces import find_face
>>> find_face(np.full((256, 256, 3), 128, np.uint8)) is None
True

The detector is YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023) in OpenCV's ``FaceDetectorYN``.
Its 232 kB of weights lie in ``pretrained/`` rather than come from a package: those on PyPI that carry them hold OpenCV
below 5, where the demo set gets other pixels.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import cv2
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


MODEL = "face_detection_yunet_2023mar.onnx"
DETECTION_SIDE = 192
"""Pixels of the long side in which a face is looked for, whatever the size of the picture."""
MIN_SCORE = 0.5

# The rest was measured against the points of 217 OpenPeople portraits, in distances from the eyes to YuNet's mouth.
MOUTH, CHIN = 1.05, 1.74
"""The middle of the lips lies a little below the line between the corners of the mouth; the chin, on the same axis."""
PROFILE_GAP = 0.6
"""Between the eyes; in a side view YuNet puts the hidden eye this close to the visible one."""
PROFILE_CHIN = 0.16
"""How far the chin lies behind the line from the eye through the mouth in a side view."""

_detectors = threading.local()
"""One a thread: a detector keeps the size of its last picture."""


def find_face(image: np.ndarray) -> Face | None:
    """Find the largest, most central face of a picture.

    Args:
        image: uint8 (H, W, 3) RGB of any size.

    Returns:
        Its points in pixels of ``image``, or None where no face is found. In a side view both eyes are the visible
        one, as everywhere in ``Face``. The chin is not seen but extrapolated from the eyes and the mouth.
    """
    height, width = image.shape[:2]
    scale = DETECTION_SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    detector = _detector()
    detector.setInputSize(size)
    found = detector.detect(cv2.cvtColor(shrunk, cv2.COLOR_RGB2BGR))[1]
    if found is None:
        return None
    rows = np.asarray(found, dtype=float)  # (N, 15): box, five points, score
    stretch = np.array([width, height]) / size
    return _to_face((rows[_most_prominent(rows, size), 4:14].reshape(5, 2) + 0.5) * stretch - 0.5)


def find_shares(image: np.ndarray) -> tuple[float, ...]:
    """The points of ``find_face`` as ``Portrait.face`` and ``faces.csv`` hold them: shares of the width and height.

    Args:
        image: uint8 (H, W, 3) RGB.

    Returns:
        Ten numbers in the order of ``FACE_COLUMNS``, or none where no face is found.
    """
    face = find_face(image)
    if face is None:
        return ()
    points = np.array([face.left_eye, face.right_eye, face.nose, face.mouth, face.chin])
    return tuple((points / (image.shape[1], image.shape[0])).ravel().tolist())


def _detector() -> cv2.FaceDetectorYN:
    if not hasattr(_detectors, "detector"):
        weights = resources.files("artifact_utils").joinpath("pretrained", MODEL).read_bytes()
        logging = cv2.utils.logging
        level = logging.getLogLevel()
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns that it has but one engine to run this in
        try:
            buffers = np.frombuffer(weights, np.uint8), np.empty(0, np.uint8)
            _detectors.detector = cv2.FaceDetectorYN.create("onnx", *buffers, (32, 32), MIN_SCORE)
        finally:
            logging.setLogLevel(level)
    return _detectors.detector


def _most_prominent(rows: np.ndarray, size: tuple[int, int]) -> int:
    """The largest box; one at the edge of the picture counts half as much as one in its middle, a doubtful one less."""
    areas, scores = rows[:, 2] * rows[:, 3], rows[:, 14]
    offsets = np.abs((rows[:, :2] + rows[:, 2:4] / 2) / size - 0.5).max(axis=1)
    return int(np.argmax(areas * (1 - np.clip(offsets, 0, 0.5)) * scores**4))


def _to_face(points: np.ndarray) -> Face:
    """YuNet's points (5, 2) as a ``Face``: its right eye is the person's, the viewer's left, and so are the corners."""
    left_eye, right_eye, nose = points[:3]
    corners = points[3:].mean(axis=0)
    axis = corners - (left_eye + right_eye) / 2
    unit = max(float(np.hypot(*axis)), 1e-6)
    right = np.array([axis[1], -axis[0]]) / unit
    back = 0.0
    if (right_eye - left_eye) @ right < PROFILE_GAP * unit:
        looks_left = (nose - (left_eye + right_eye) / 2) @ right < 0
        left_eye = right_eye = right_eye if looks_left else left_eye
        back = PROFILE_CHIN if looks_left else -PROFILE_CHIN
    eyes = (left_eye + right_eye) / 2
    axis = corners - eyes
    chin = eyes + CHIN * axis + back * np.array([axis[1], -axis[0]])
    found = (left_eye, right_eye, nose, eyes + MOUTH * axis, chin)
    return Face(*((float(x), float(y)) for x, y in found))
