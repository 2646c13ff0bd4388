"""What is wrong with single pictures: a score in [0, 1] and a flag an issue, read off the table of ``scan``.

As in CleanVision a score of 1 is fine and 0 as bad as can be, a picture is flagged where its score is below the
threshold, and the thresholds of the issues it has, too, are the same. Only ``grayscale`` is not: there CleanVision
goes by the mode of the file alone, and so misses grey pictures saved as colour, which are flagged here.
"""

import numpy as np
import pandas as pd

THRESHOLDS = {
    "unreadable": 0.5,
    "wrong_suffix": 0.5,
    "dark": 0.32,
    "bright": 0.05,
    "blurry": 0.29,
    "low_information": 0.3,
    "odd_size": 0.5,
    "odd_aspect": 0.35,
    "grayscale": 0.06,
    "exact_duplicate": 0.5,
    "near_duplicate": 0.5,
}
"""A picture is flagged where the score of the issue is below this."""

_EDGES, _SPREAD, _MIN_SPREAD = 100.0, 100.0, 0.18  # scales at which scores of blur saturate, and what counts as none
_ENTROPY = 10.0  # bits
_BLACK = 1 / 255  # brightness that nothing is darker than
_IQR = 3.0  # sizes further than this from the quartiles, in distances between the quartiles, are odd


def find_issues(table: pd.DataFrame, duplicates: pd.DataFrame | None = None) -> pd.DataFrame:
    """Judge every picture of a table.

    - ``dark``: the 99th percentile of the perceived brightness; ``bright``: 1 minus the 5th percentile.
    - ``blurry``: grows with the strength of the edges at 64 px; a histogram with marked peaks, a drawing, is let off.
    - ``low_information``: entropy of the colours, a tenth of the bits.
    - ``odd_size``: how far the root of the area lies from the middle of the set's, whose quartiles give the scale.
    - ``odd_aspect``: short side / long side.
    - ``grayscale``: largest difference of the channels over the brightness (99th percentiles both), so that grey saved
      as colour is found too, and colours in the dark are not taken for grey.
    - ``unreadable``, ``wrong_suffix`` (the name says another format), ``exact_duplicate``: 0 or 1;
      ``near_duplicate``: 1 minus the similarity to the closest member of its group, 1 where it is in none.

    Args:
        table: from ``scan``.
        duplicates: from ``find_duplicates``; None leaves those two issues out.

    Returns:
        A row a picture, in the order of the table: ``path``, and for each issue ``<issue>_score`` and ``is_<issue>``.
        An unreadable picture has no other scores (missing) and no other flags.
    """
    aspect = table["aspect"].astype(float)
    scores: dict[str, pd.Series] = {
        "unreadable": table["readable"].astype(float),
        "wrong_suffix": table["suffix_fits"].astype(float),
        "dark": table["brightness_p99"],
        "bright": 1 - table["brightness_p5"],
        "blurry": _sharpness_score(table),
        "low_information": (table["entropy"] / _ENTROPY).clip(upper=1),
        "odd_size": _size_score((table["width"].astype(float) * table["height"].astype(float)) ** 0.5),
        "odd_aspect": aspect.where(aspect <= 1, 1 / aspect),
        "grayscale": (table["colour_gap"] / table["brightness_p99"].clip(lower=_BLACK)).clip(upper=1),
    }
    if duplicates is not None:
        near = duplicates.drop_duplicates("path").set_index("path")
        kind, similarity = table["path"].map(near["kind"]), table["path"].map(near["similarity"])
        scores["exact_duplicate"] = (kind != "exact").astype(float)
        scores["near_duplicate"] = 1 - similarity.astype(float).fillna(0.0)
    issues = pd.DataFrame({"path": table["path"]})
    for name, score in scores.items():
        known = (score if name == "unreadable" else score.where(table["readable"])).astype(float)
        issues[f"{name}_score"] = known
        issues[f"is_{name}"] = known.lt(THRESHOLDS[name])  # a missing score is below nothing
    return issues


def _sharpness_score(table: pd.DataFrame) -> pd.Series:
    edges = 1 - (-table["edges"] / _EDGES).map(np.exp)
    peaks = 1 - (-table["histogram_spread"] / _SPREAD).map(np.exp)
    return (edges + peaks.where(peaks > _MIN_SPREAD, 0.0)).clip(upper=1)


def _size_score(size: pd.Series) -> pd.Series:
    known = size.dropna()
    if known.empty:
        return size
    first, third = np.percentile(known, (25, 75))
    low, high = first - _IQR * (third - first), third + _IQR * (third - first)
    middle, half = (low + high) / 2, (high - low) / 2
    if half == 0:  # all but a few have one size: whatever differs is odd
        return (size == middle).astype(float).where(size.notna())
    return 1 - ((size - middle).abs() / (2 * half)).clip(upper=1)
