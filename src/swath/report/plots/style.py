"""What all pictures of a report share: palette, figure, PNG for screens and SVG for papers.

Drawn with matplotlib's object interface, which keeps no global state and needs no display.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from swath.store.storage import write_atomic

_DPI, _WIDTH_IN = 100, 12.0
# Okabe and Ito's palette for every kind of colour vision, without its yellow, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#8a8a8a"
_DIVERGING = LinearSegmentedColormap.from_list("swath", [PALETTE[1], "#f4f4f4", PALETTE[0]])

Drawn = Mapping[str, bytes]
"""A picture as files: content by suffix, `png` and `svg`."""


def new_figure(height_in: float) -> Figure:
    """A figure 1,200 px wide, that arranges itself."""
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
    FigureCanvasAgg(figure)
    return figure


def drawn(figure: Figure) -> Drawn:
    """The figure's files; the same figure gives the same bytes."""
    files = {}
    # SVG names its parts by random numbers and says when it was made, unless told otherwise.
    with mpl.rc_context({"svg.hashsalt": "swath"}):
        for suffix, metadata in (("png", {}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=_DPI, metadata=metadata)
            files[suffix] = buffer.getvalue()
            figure.set_layout_engine("none")  # arranged once: that takes longest, and both should look the same
    return files


def write_picture(out: Path, name: str, files: Drawn) -> str:
    """Write `name.png` and `name.svg` into a folder; the name of the first, which Markdown shows."""
    for suffix, content in files.items():
        write_atomic(out / f"{name}.{suffix}", content)
    return f"{name}.png"


def plain(axes: Axes) -> None:
    """Only the left and lower frame."""
    axes.spines[["top", "right"]].set_visible(False)


def text(label: str, limit: int = 60) -> str:
    """A label as matplotlib should draw it: nothing taken for mathematics, cut in the middle when long."""
    if len(label) > limit:
        label = f"{label[: limit // 2]}…{label[-(limit // 2 - 1) :]}"
    return label.replace("$", r"\$")


def colours(count: int) -> Sequence[str | tuple[float, ...]]:
    """So many colours: the palette, or steps of viridis where it has too few."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0, 0.95, count)]


def whole_ticks(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers: epochs."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def heat(axes: Axes, values: NDArray[np.float64], most: float, show: Callable[[float], str]) -> None:
    """A table of numbers as coloured squares: blue above zero, orange below, white where unknown.

    Args:
        axes: Where to draw.
        values: [rows, columns].
        most: The value of full colour.
        show: The number as it stands in its square; "" for none.
    """
    # One square each, and no raster image: it stays sharp in print.
    axes.pcolormesh(values, cmap=_DIVERGING, vmin=-most, vmax=most, edgecolors="white", linewidth=1)
    axes.set_xlim(0, values.shape[1])
    axes.set_ylim(values.shape[0], 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(np.isfinite(values)):
        value = float(values[row, column])
        colour = "white" if abs(value) > 0.6 * most else "black"
        axes.text(column + 0.5, row + 0.5, show(value), ha="center", va="center", color=colour, fontsize=9)
