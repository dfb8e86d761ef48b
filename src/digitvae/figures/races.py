"""Curves of several models over their seconds of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digitvae.figures.style import INK, PEN, RED, Array, new_figure, styled

_STYLES: dict[str, list[dict[str, Any]]] = {
    "vae": [{"color": PEN, "linestyle": "-"}, {"color": "#56b4e9", "linestyle": "-"}],
    "gan": [{"color": RED, "linestyle": (0, (4, 1.6))}, {"color": "#e69f00", "linestyle": (0, (4, 1.6))}],
}
_OTHER: dict[str, Any] = {"color": INK, "linestyle": ":"}


@styled
def draw_race(
    curves: Mapping[str, tuple[str, Array, Array, Array]],
    label: str,
    logarithmic: bool = False,
    floor: float | None = None,
) -> Figure:
    """A measure over the seconds of training, a line for each model.

    Args:
        curves: By name: the kind (``vae`` or ``gan``), seconds, means and spreads, the arrays of one shape; a spread
            of NaN is not drawn.
        label: What is measured.
        logarithmic: Whether the axis of the measure is.
        floor: What real digits reach, as a thin line.
    """
    figure = new_figure(2.9)
    axes = figure.add_subplot()
    left = {kind: list(styles) for kind, styles in _STYLES.items()}
    for name, (kind, seconds, means, spreads) in curves.items():
        style = left[kind].pop(0) if left.get(kind) else _OTHER
        shown: Any = {"marker": "o", "markersize": 3.5, "linewidth": 1.5, "capsize": 2, **style}
        axes.errorbar(seconds, means, yerr=spreads, label=name, **shown)
    if floor is not None:
        axes.axhline(floor, color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
        place: Any = ("axes fraction", "data")
        axes.annotate("real digits", (1, floor), xycoords=place, ha="right", va="bottom", fontsize=8)
    if logarithmic:
        axes.set_yscale("log")
    _finish(axes, label)
    return figure


def _finish(axes: Axes, label: str) -> None:
    axes.set_xlabel("seconds of training")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="best", frameon=False)
