"""Curves over the epochs: the loss, and its two terms."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from digitvae.figures.style import FAINT, PEN, RED, Array, new_figure, styled


@styled
def draw_losses(
    epochs: Array, train: Array, validation: Array, last_epoch: int, limits: tuple[float, float] | None = None
) -> Figure:
    """Train and validation loss so far, with the epoch of the lowest validation loss marked.

    Args:
        epochs: Finished epochs, shape (n,).
        train: Their mean training loss in nats per image, shape (n,).
        validation: Their mean validation loss, shape (n,).
        last_epoch: Where the axis ends: the same for all snapshots of a run.
        limits: Range of the loss axis, also the same for all; chosen from the values where left out.
    """
    figure = new_figure(2.45)
    axes = figure.add_subplot()
    low, high = limits or loss_limits(train, validation)
    axes.plot(epochs, train, color=PEN, linewidth=1.5, linestyle=(0, (4, 1.6)), label="train")
    axes.plot(epochs, validation, color=RED, linewidth=1.6, label="validation")
    best = int(np.argmin(validation))
    axes.plot(epochs[best], validation[best], "o", color=RED, markersize=5, markeredgecolor="white")
    axes.annotate(
        f"lowest: {validation[best]:.2f}\nepoch {epochs[best]}",
        (float(epochs[best]), float(validation[best])),
        xytext=(0, 9),
        textcoords="offset points",
        ha="right" if epochs[best] > last_epoch * 0.4 else "left",
        va="bottom",
        fontsize=8.5,
        color=RED,
        path_effects=[withStroke(linewidth=3, foreground="white")],  # the other curve may run behind it
    )
    axes.set_xlim(0, last_epoch * 1.02 + 0.5)
    axes.set_ylim(low, high)
    axes.legend(loc="upper right", ncols=2, borderaxespad=0, handlelength=2.2)
    _finish(axes, "loss, nats per image")
    return figure


def loss_limits(train: Array, validation: Array) -> tuple[float, float]:
    """A range for the loss axis that shows the end of training well; the very first epochs may lie above it."""
    both = np.concatenate([train, validation])
    late = np.concatenate([train[len(train) // 10 :], validation[len(validation) // 10 :]])
    low, high = float(both.min()), float(late.max())
    room = max(high - low, 0.02 * abs(low), 1e-6)
    return low - 0.08 * room, high + 0.35 * room


@styled
def draw_terms(epochs: Array, rate: tuple[Array, Array], distortion: tuple[Array, Array]) -> Figure:
    """Rate and distortion over the epochs, each with its own axis.

    Args:
        epochs: Finished epochs, shape (n,).
        rate: Mean rate in training and in validation, each of shape (n,), in nats per image.
        distortion: The same for the distortion.
    """
    figure = new_figure(3.5)
    for row, (name, (train, validation)) in enumerate((("distortion", distortion), ("rate", rate))):
        axes = figure.add_subplot(2, 1, row + 1)
        axes.plot(epochs, train, color=PEN, linewidth=1.5, linestyle=(0, (4, 1.6)), label="train")
        axes.plot(epochs, validation, color=RED, linewidth=1.6, label="validation")
        axes.set_title(name)
        low, high = loss_limits(train, validation)
        low = min(low, *validation[len(validation) // 10 :])
        axes.set_ylim(low, high)
        _finish(axes, "nats per image")
        if row == 0:
            axes.legend(loc="upper right", ncols=2, borderaxespad=0, handlelength=2.2)
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    return figure


def _finish(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(color=FAINT)
