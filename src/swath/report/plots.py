"""What all pictures of a report share: palette, figure, PNG bytes.

Drawn with matplotlib's object interface, which keeps no global state and needs no display.
"""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_DPI, _WIDTH_IN = 100, 12.0
# Okabe and Ito's palette for every kind of colour vision, without its yellow, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#8a8a8a"


def new_figure(height_in: float) -> Figure:
    """A figure 1,200 px wide, that arranges itself."""
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure's PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


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
