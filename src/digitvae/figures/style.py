"""What all figures share: ink, palette, type, and how a figure becomes bytes."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

P = ParamSpec("P")
Array = npt.NDArray[Any]

WIDTH = 4.7
"""Width of every figure in inches: small, so that its type can still be read on a phone."""

INK = "#17203a"
FAINT = "#8b93a6"
HAIRLINE = "#d5d9e2"
GROUND = "#b4bccb"
PEN = "#2446c8"
RED = "#c3362b"

PALETTE = (
    "#6b3d1e",
    "#aa4499",
    "#7fb2a0",
    "#222222",
    "#555555",
    "#e07a3f",
    "#56b4e9",
    "#e69f00",
    "#332288",
    "#7a4fd1",
)
"""One colour per digit: of 36 colours the ten that are farthest apart for readers with full colour vision and for
those without red or green cones, dealt out so that digits which look alike (4, 7, 9 and 3, 5, 8) differ most. The maps
name the digits in place as well.
"""

UNLABELLED = PEN

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "grid.color": HAIRLINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "digitvae",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
_SVG_FONT = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Makes a function draw in the common style, whatever matplotlib's settings are, and leaves these alone."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **keywords: P.kwargs) -> Figure:
        with _style():
            return draw(*args, **keywords)

    return drawn


@contextlib.contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, in inches; it is laid out so that nothing is cut off."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
    FigureCanvasAgg(figure)
    return figure


def _settle(figure: Figure) -> None:
    """Lay the figure out once, not again for each format."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


@contextlib.contextmanager
def _on(figure: Figure, dpi: int, paper: str) -> Iterator[None]:
    """What `savefig` does beside drawing: it would draw once more before, for a layout that is settled here."""
    kept = figure.dpi, figure.get_facecolor(), figure.canvas
    figure.dpi = dpi
    figure.set_facecolor(paper)
    try:
        yield
    finally:
        figure.dpi = kept[0]
        figure.set_facecolor(kept[1])
        figure.set_canvas(kept[2])


def to_png(figure: Figure, dpi: int = 160) -> bytes:
    """The figure on white, as it is kept beside a snapshot."""
    images: list[AxesImage] = list(figure.findobj(AxesImage))
    before = [image.get_interpolation() for image in images]
    for image in images:
        image.set_interpolation("bicubic")
    with _style():
        _settle(figure)
        out = io.BytesIO()
        with _on(figure, dpi, "white"):
            FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    for image, interpolation in zip(images, before, strict=True):
        image.set_interpolation(interpolation)
    return out.getvalue()


def to_svg(figure: Figure, dpi: int = 160) -> str:
    """The figure on nothing, with type in the reader's own font, to stand in a page; `dpi` is that of its points."""
    with _style():
        _settle(figure)
        out = io.StringIO()
        with _on(figure, dpi, "none"):
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = svg.replace("image-rendering:crisp-edges;image-rendering:pixelated", "")
    svg = re.sub(r"(\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]+", _with_palette, svg)
    return re.sub(r"'DejaVu Sans'(, sans-serif)?", _SVG_FONT, svg)


def _with_palette(match: re.Match[str]) -> str:
    """A PNG, in base64, with a palette of its own: a quarter of the size, and no difference to see."""
    image = Image.open(io.BytesIO(base64.b64decode(match[0]))).convert("RGBA")
    out = io.BytesIO()
    image.quantize(128, method=Image.Quantize.FASTOCTREE).save(out, "png", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def ink(images: Array, levels: int = 32) -> npt.NDArray[np.uint8]:
    """Images of shape (height, width), in [0, 1], as ink of that density on nothing: RGBA, so that it stands on
    paper and, turned over, on a blackboard. Few `levels` make small files.
    """
    density = np.round(np.clip(images, 0, 1) * (levels - 1)) * (255 / (levels - 1))
    colour = [int(INK[i : i + 2], 16) for i in (1, 3, 5)]
    out = np.empty((*images.shape, 4), np.uint8)
    out[..., :3] = colour
    out[..., 3] = density
    return out


def tile(images: Array, columns: int, gap: int = 0) -> Array:
    """Images of shape (n, height, width) in rows of `columns`, `gap` empty pixels apart, as one image.

    >>> tile(np.ones((3, 28, 28)), columns=2, gap=1).shape
    (57, 57)
    """
    count, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), images.dtype)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def bare(axes: Axes) -> None:
    """Take away ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
