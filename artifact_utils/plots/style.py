"""The look that all figures share: settings, colours, and a decorator that draws with them."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from artifact_utils.labels import ARTIFACT, CLASS_NAMES, CLEAN

COLOURS = {CLASS_NAMES[CLEAN]: "#0072B2", CLASS_NAMES[ARTIFACT]: "#D55E00"}
GREEN, GREY = "#009E73", "#666666"
_SETTINGS = {
    **sns.axes_style("whitegrid"),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
}

_P = ParamSpec("_P")


def house_style(function: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw in the house style and leave the caller's own settings alone."""

    @wraps(function)
    def draw(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return function(*args, **kwargs)

    return draw
