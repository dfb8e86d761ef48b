"""Sheets of digits: grids, rows and pairs, with what the reader must know written beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digitvae.figures.style import FAINT, INK, RED, WIDTH, Array, bare, ink, new_figure, styled, tile

_MARGIN = 0.62
"""Inches that the names of rows take."""


@styled
def draw_grid(images: Array, ticks: Array, names: tuple[str, str]) -> Figure:
    """Digits decoded over a plane, with axes in latent units.

    Args:
        images: Shape (rows, columns, 28, 28), in [0, 1]; the first row is the top one.
        ticks: Latent values of the columns, rising, shape (columns,); rows have the same, rising upwards. With one
            row the vertical axis is left out.
        names: What the two axes are called.
    """
    rows, columns = images.shape[:2]
    figure = new_figure(WIDTH * 0.95 if rows > 1 else 0.95)
    axes = figure.add_subplot()
    half = (ticks[-1] - ticks[0]) / (columns - 1) / 2
    left, right = float(ticks[0] - half), float(ticks[-1] + half)
    bottom, top = (left, right) if rows > 1 else (-half, half)
    sheet = tile(images.reshape(-1, *images.shape[2:]), columns)
    axes.imshow(ink(sheet), extent=(left, right, bottom, top), interpolation="none")
    steps = np.arange(np.ceil(ticks[0]), np.floor(ticks[-1]) + 1)
    axes.set_xticks(steps)
    axes.set_xlabel(names[0])
    if rows > 1:
        axes.set_yticks(steps)
        axes.set_ylabel(names[1], labelpad=0)
    else:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    return figure


@styled
def draw_planes(planes: Sequence[Array], names: Sequence[str]) -> Figure:
    """Two or more decoded planes side by side, without axes: shape (rows, columns, 28, 28) each, in [0, 1]."""
    side = (WIDTH - 0.2 * (len(planes) - 1)) / len(planes)
    figure = new_figure(side + 0.35)
    for place, (plane, name) in enumerate(zip(planes, names, strict=True)):
        axes = figure.add_subplot(1, len(planes), place + 1)
        axes.imshow(ink(tile(plane.reshape(-1, *plane.shape[2:]), plane.shape[1])), interpolation="none")
        axes.set_title(name, fontsize=9.5)
        bare(axes)
    return figure


@styled
def draw_samples(images: Array, columns: int) -> Figure:
    """Digits in rows of `columns`; images of shape (n, 28, 28), in [0, 1]."""
    rows = -(-len(images) // columns)
    figure = new_figure(WIDTH * rows / columns + 0.04)
    axes = figure.add_subplot()
    axes.imshow(ink(tile(images, columns, gap=2)), interpolation="none")
    bare(axes)
    return figure


@styled
def draw_pairs(above: Array, below: Array, names: tuple[str, str], columns: int = 10) -> Figure:
    """Pairs of images, one above the other, in blocks of two named rows.

    Args:
        above: Shape (n, 28, 28), in [0, 1].
        below: Those that belong to them, of the same shape.
        names: What the upper and the lower images are.
        columns: Pairs side by side.
    """
    blocks = -(-len(above) // columns)
    side = (WIDTH - _MARGIN) / columns
    figure = new_figure(side * 2 * blocks + 0.12 * (blocks - 1) + 0.1)
    for block in range(blocks):
        part = slice(block * columns, (block + 1) * columns)
        axes = figure.add_subplot(blocks, 1, block + 1)
        _sheet(axes, np.concatenate([_filled(above[part], columns), _filled(below[part], columns)]), columns)
        axes.set_yticks([14, 44], labels=list(names))
    return figure


@styled
def draw_posterior_draws(
    originals: Array, draws: Array, names: Sequence[str], shares: Sequence[str] | None = None
) -> Figure:
    """Images, each followed by draws from its posterior, and what can be said of them.

    Args:
        originals: Shape (n, 28, 28), in [0, 1].
        draws: Shape (n, draws, 28, 28), in [0, 1].
        names: What each row is.
        shares: A text at the end of each row.
    """
    rows, count = draws.shape[:2]
    sheet = np.concatenate([originals[:, None], draws], 1)
    side = (WIDTH - (1.0 if shares else 0.35)) / (count + 1.4)
    figure = new_figure(side * rows + 0.35)
    axes = figure.add_subplot()
    step = 30
    gap = 12
    end = (count + 1) * step + gap
    _place(axes, sheet, [0, *(column * step + gap for column in range(1, count + 1))], step)
    bare(axes)
    axes.set_xlim(0, end)
    axes.set_ylim(rows * step, 0)
    axes.set_aspect("equal")
    axes.set_yticks([row * step + 14 for row in range(rows)], labels=list(names))
    axes.tick_params(length=0)
    axes.plot([28 + gap / 2 + 1] * 2, [0, rows * step], color=FAINT, linewidth=0.7)
    axes.text(14, -6, "real", ha="center", va="bottom", fontsize=8.5)
    axes.text(step + gap, -6, f"{count} draws from its posterior", ha="left", va="bottom", fontsize=8.5)
    for row, share in enumerate(shares or ()):
        axes.text(end + 4, row * step + 14, share, ha="left", va="center", fontsize=8.5, color=INK, clip_on=False)
    if shares:
        axes.text(end + 4, -6, "kept", ha="left", va="bottom", fontsize=8.5)
    return figure


@styled
def draw_rows(
    images: Array,
    names: Sequence[str],
    heads: Sequence[str] | None = None,
    marks: Array | None = None,
    framed: Sequence[int] = (),
    groups: Sequence[tuple[int, str]] = (),
) -> Figure:
    """Named rows of digits, with heads over the columns and a red bar under each digit that is marked.

    Args:
        images: Shape (rows, columns, 28, 28), in [0, 1].
        names: What each row is; a line may be broken.
        heads: What each column is.
        marks: Which digits get the bar, bool, of shape (rows, columns).
        framed: Columns that get a frame, such as those of real digits.
        groups: Columns at which a group of columns begins, each with the group's name.
    """
    rows, columns = images.shape[:2]
    margin = _MARGIN + 0.25 if any(len(line) > 9 for name in names for line in name.split("\n")) else _MARGIN
    side = (WIDTH - margin) / columns
    height = 34
    figure = new_figure(side * rows * height / 30 + (0.24 if heads else 0.06) + (0.2 if groups else 0))
    axes = figure.add_subplot()
    _place(axes, images, [column * 30 for column in range(columns)], height)
    for row, column in np.argwhere(np.zeros((rows, columns), bool) if marks is None else marks):
        ends = [column * 30 + 1, column * 30 + 27]
        axes.plot(ends, [row * height + 30.5] * 2, color=RED, linewidth=2, solid_capstyle="butt")
    for column in framed:
        for row in range(rows):
            across = np.array([0, 28, 28, 0, 0]) + column * 30
            axes.plot(across, np.array([0, 0, 28, 28, 0]) + row * height, color=FAINT, linewidth=0.8)
    bare(axes)
    axes.set_xlim(-1, columns * 30 - 1)
    axes.set_ylim(rows * height - 1, -1)
    axes.set_aspect("equal")
    axes.set_yticks([row * height + 14 for row in range(rows)], labels=list(names))
    if heads:
        axes.xaxis.tick_top()
        axes.set_xticks([column * 30 + 14 for column in range(columns)], labels=list(heads))
    for column, group in groups:
        axes.text(column * 30 + 1, -20, group, ha="left", va="bottom", fontsize=9, weight="bold")
        if column:
            axes.plot([column * 30 - 1.5] * 2, [-16, rows * height - 4], color=FAINT, linewidth=0.7, clip_on=False)
    axes.tick_params(length=0, pad=2)
    return figure


def _place(axes: Axes, images: Array, lefts: Sequence[int], step: int) -> None:
    """Draw images of shape (rows, columns, 28, 28) as one: columns begin at `lefts`, rows `step` pixels apart."""
    rows, _, height, width = images.shape
    sheet = np.zeros((rows * step, max(lefts) + width), images.dtype)
    for row in range(rows):
        for left, image in zip(lefts, images[row], strict=True):
            sheet[row * step : row * step + height, left : left + width] = image
    axes.imshow(ink(sheet), extent=(0, sheet.shape[1], sheet.shape[0], 0), interpolation="none")


def _sheet(axes: Axes, images: Array, columns: int) -> None:
    axes.imshow(ink(tile(images, columns, gap=2)), interpolation="none")
    bare(axes)
    axes.tick_params(length=0)


def _filled(images: Array, count: int) -> Array:
    """`count` images, blank ones at the end."""
    blank = np.zeros((count - len(images), *images.shape[1:]), images.dtype)
    return np.concatenate([images, blank])
