"""Can the class be told from what is no artifact? Then a detector will learn that, and fail on other pictures."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from artifact_utils.labels import ARTIFACT, CLASS_NAMES
from artifact_utils.metrics.bootstrap import bootstrap_metrics, percentile_interval, resampling_units

WARNING_AUC = 0.6
"""From here on the verdict is a warning."""

NUMBERS = (
    "width",
    "height",
    "aspect",
    "bytes",
    "jpeg_quality",
    "orientation",
    "brightness",
    "contrast",
    "sharpness",
    "saturation",
    "entropy",
    "colour_gap",
    "red",
    "green",
    "blue",
    "border",
)
WORDS = ("format", "mode")
_FOLDS, _BOOTSTRAP, _TREES = 5, 1000, 100


@dataclass(frozen=True)
class Shortcuts:
    """The verdict of ``find_shortcuts``."""

    auc: float
    """How well the class is told by all columns together, out of fold; 0.5 is not at all."""
    low: float
    high: float
    """95% bootstrap interval over groups, or over pictures where there are few groups."""
    columns: pd.DataFrame
    """``column`` and its ``auc`` alone, turned so that it is at least 0.5, highest first."""
    by_chance: float
    """AUC that the best of so many columns without meaning exceeds in one set of twenty."""

    @property
    def found(self) -> bool:
        """Whether there is reason to worry."""
        return (self.auc > WARNING_AUC and self.low > 0.5) or len(self.telling) > 0

    @property
    def telling(self) -> pd.DataFrame:
        """The rows of ``columns`` that give the class away alone, and not by chance."""
        return self.columns[self.columns["auc"] > max(WARNING_AUC, self.by_chance)]

    def __str__(self) -> str:
        interval = f"AUC {self.auc:.2f} [{self.low:.2f}, {self.high:.2f}]"
        if not self.found:
            return f"no shortcut: file and colour statistics hardly tell the classes apart ({interval})"
        named = self.telling.head(5) if len(self.telling) else self.columns.head(3)
        which = ", ".join(f"{column} ({auc:.2f})" for column, auc in named.to_numpy())
        return f"WARNING: a shortcut. The class can be told without seeing an artifact, {interval}, by: {which}"


def find_shortcuts(table: pd.DataFrame, groups: pd.Series | None = None, *, seed: int = 0) -> Shortcuts | None:
    """Try to tell the class from what has nothing to do with artifacts: the file, its size, light and colours.

    Args:
        table: from ``scan``; readable pictures of known class count.
        groups: by path, from ``near_duplicate_groups``: copies of one picture must not be on both sides of a fold.
        seed: of the forest, the folds and the bootstrap.

    Returns:
        The verdict, or None where there are fewer than five groups of pictures in a class.
    """
    rows = table[table["readable"] & table["class_name"].isin(CLASS_NAMES)]
    targets = (rows["class_name"] == CLASS_NAMES[ARTIFACT]).to_numpy(dtype=int)
    names = np.arange(len(rows)) if groups is None else pd.factorize(rows["path"].map(groups))[0]
    if min(len(np.unique(names[targets == label])) for label in range(len(CLASS_NAMES))) < _FOLDS:
        return None
    numbers = rows[list(NUMBERS)].astype(float).fillna(-1.0)
    features = pd.concat([numbers, pd.get_dummies(rows[list(WORDS)], dtype=float)], axis=1)
    probability = np.full(len(rows), targets.mean())
    for learn, held in StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(features, targets, names):
        forest = RandomForestClassifier(
            _TREES, min_samples_leaf=5, class_weight="balanced_subsample", random_state=seed, n_jobs=-1
        )
        forest.fit(features.iloc[learn], targets[learn])
        if len(forest.classes_) == 2:
            probability[held] = forest.predict_proba(features.iloc[held])[:, ARTIFACT]
    units, _, _ = resampling_units(targets, names)
    flagged = (probability >= 0.5).astype(int)
    areas = bootstrap_metrics(probability, targets, flagged, units, _BOOTSTRAP, np.random.default_rng(seed))["roc_auc"]
    low, high = percentile_interval(areas) or (0.0, 1.0)
    alone = {column: roc_auc_score(targets, features[column]) for column in features}
    columns = pd.DataFrame({"column": list(alone), "auc": [max(area, 1 - area) for area in alone.values()]})
    columns = columns.sort_values("auc", ascending=False, ignore_index=True)
    auc, n_artifacts = float(roc_auc_score(targets, probability)), int(targets.sum())
    return Shortcuts(auc, float(low), float(high), columns, _by_chance(n_artifacts, len(rows), len(columns)))


def _by_chance(n_artifacts: int, n: int, n_columns: int) -> float:
    """Of a column without meaning the AUC is normal around 0.5 (Mann and Whitney 1947); of several take the highest."""
    deviation = np.sqrt((n + 1) / (12 * n_artifacts * (n - n_artifacts)))
    return float(0.5 + deviation * stats.norm.isf(0.025 / n_columns))
