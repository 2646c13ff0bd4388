"""Feature maps of a network, as one figure and as something to step through in a notebook."""

import io
from collections.abc import Mapping

import ipywidgets
import numpy as np
import numpy.typing as npt
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from artifact_utils.plots.style import house_style

Maps = Mapping[str, npt.NDArray[np.float32]]

_SIDE = 96  # pixels a map is drawn with; a figure of whole ones would make a notebook too large for git


@house_style
def plot_feature_maps(picture: npt.NDArray[np.uint8], maps: Maps, *, n: int = 8, first: int = 0) -> Figure:
    """A picture, and below it a row of channels for each stage of a network: bright where a channel answers.

    Args:
        picture: uint8 (H, W, 3) RGB.
        maps: by the name of the stage, float (C, h, w), as ``explain.feature_maps`` gives them.
        n: channels in a row.
        first: number of the first one.
    """
    figure = Figure(figsize=(1.15 * (n + 1), 1.3 * max(len(maps), 1)), layout="constrained")
    axes = figure.subplots(max(len(maps), 1), n + 1, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    axes[0, 0].imshow(np.asarray(Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)))
    for row, (name, channels) in zip(axes, maps.items(), strict=True):
        size = " x ".join(str(number) for number in channels.shape[1:])
        row[0].set_title(f"{name}\n{len(channels)} of {size}", fontsize=8, loc="left")
        for number, (ax, channel) in enumerate(zip(row[1:], channels[first : first + n], strict=False), first + 1):
            ax.imshow(channel, cmap="viridis")
            ax.set_title(f"{number}", fontsize=8, loc="center")
    return figure


def step_through(picture: npt.NDArray[np.uint8], maps: Maps, *, n: int = 8) -> None:
    """Show feature maps with sliders for the stage and the channels.

    Where no kernel answers, as on GitHub, the same output is a picture of the first channels of every stage.

    Args:
        picture: uint8 (H, W, 3) RGB.
        maps: by the name of the stage, float (C, h, w), as ``explain.feature_maps`` gives them.
        n: channels shown at once.
    """
    stage = ipywidgets.SelectionSlider(options=list(maps), description="stage")
    page = ipywidgets.IntSlider(min=1, max=1, description="page")
    shown = ipywidgets.Image(format="jpeg")

    def draw(change: object = None) -> None:
        channels = maps[stage.value]
        page.max = -(-len(channels) // n)
        figure = plot_feature_maps(picture, {stage.value: channels}, n=n, first=n * (page.value - 1))
        shown.value = _jpeg(figure)

    stage.observe(draw, "value")
    page.observe(draw, "value")
    draw()
    bundle = ipywidgets.VBox([stage, page, shown])._repr_mimebundle_()
    bundle["image/jpeg"] = _jpeg(plot_feature_maps(picture, maps, n=n))
    display(bundle, raw=True)


def _jpeg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 85})
    return buffer.getvalue()
