"""Finding the face in any portrait: the five points that made artifacts are placed by.

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
from importlib import resources

import cv2
import numpy as np

from artifact_utils.synthesis import Face

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
