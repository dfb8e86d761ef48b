"""The latent plane: images as points, densities, clusters, posteriors and paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from scipy.stats import gaussian_kde

from digitvae.figures.style import (
    FAINT,
    GROUND,
    INK,
    PALETTE,
    PEN,
    RED,
    UNLABELLED,
    WIDTH,
    Array,
    new_figure,
    styled,
)

_STEPS = 97


@styled
def draw_map(codes: Array, labels: Array | None, limit: float, names: tuple[str, str], prior: bool) -> Figure:
    """Images as points in the latent plane, with the densities along both axes.

    Args:
        codes: Posterior means, shape (n, 2).
        labels: Digits, shape (n,), or None.
        limit: Both axes go from -limit to limit.
        names: What the two axes are called.
        prior: Draw the standard Normal prior beside the densities.
    """
    figure = new_figure(WIDTH)
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1, 5), hspace=0.0, wspace=0.0)
    axes = figure.add_subplot(grid[1, 0])
    _scatter(axes, codes, labels, limit)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], labelpad=0)
    _name_classes(axes, codes, labels, limit)
    across, along = figure.add_subplot(grid[0, 0], sharex=axes), figure.add_subplot(grid[1, 1], sharey=axes)
    _densities(across, codes[:, 0], labels, limit, prior, upright=True)
    _densities(along, codes[:, 1], labels, limit, prior, upright=False)
    if labels is not None:
        _legend(figure.add_subplot(grid[0, 1]), np.unique(labels))
    return figure


@styled
def draw_classes(codes: Array, labels: Array, limit: float) -> Figure:
    """The same map once for each digit, which stands out from the others: it can be read without any colour."""
    figure = new_figure(2.15)
    for digit in range(10):
        axes = figure.add_subplot(2, 5, digit + 1)
        _dots(axes, codes[labels != digit], s=0.5, color=GROUND, rasterized=True)
        _dots(axes, codes[labels == digit], s=1.6, color=INK, rasterized=True)
        _square(axes, limit)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.04, 0.96, str(digit), transform=axes.transAxes, va="top", weight="bold", fontsize=11)
    return figure


@styled
def draw_clusters(codes: Array, groups: Array, limit: float, centres: Array | None = None) -> Figure:
    """Images as points in the latent plane, coloured by the class or cluster that they are in.

    Args:
        codes: Posterior means, shape (n, 2).
        groups: 0 to 9 for each point, shape (n,).
        limit: Both axes go from -limit to limit.
        centres: The middle of each cluster, marked with a cross, shape (clusters, 2).
    """
    figure = new_figure(3.0, width=3.0)
    axes = figure.add_subplot()
    _scatter(axes, codes, groups, limit)
    if centres is None:
        _name_classes(axes, codes, groups, limit)
    else:
        _dots(axes, centres, marker="+", s=60, color="white", linewidths=3.2)
        _dots(axes, centres, marker="+", s=60, color=INK, linewidths=1.4)
    return figure


@styled
def draw_posteriors(
    codes: Array,
    loc: Array,
    scale: Array,
    draws: Array,
    labels: Array | None,
    limit: float,
    names: tuple[str, str],
) -> Figure:
    """Posteriors as ellipses of one and two standard deviations, with the codes drawn from them.

    Args:
        codes: Posterior means of all images, a faint ground, shape (n, 2).
        loc: Means, shape (posteriors, 2).
        scale: Standard deviations, of the same shape.
        draws: Codes, shape (draws, posteriors, 2).
        labels: The digit of each posterior, shape (posteriors,), or None.
        limit: Both axes go from -limit to limit.
        names: What the two axes are called.
    """
    figure = new_figure(WIDTH * 0.95)
    axes = figure.add_subplot()
    _dots(axes, codes, s=1.2, color=GROUND, rasterized=True)
    for index, (centre, width) in enumerate(zip(loc, scale, strict=True)):
        colour = UNLABELLED if labels is None else PALETTE[labels[index]]
        middle = (float(centre[0]), float(centre[1]))
        for times, alpha in ((2, 0.18), (1, 0.4)):
            size = (2 * times * float(width[0]), 2 * times * float(width[1]))
            axes.add_patch(Ellipse(middle, *size, facecolor=colour, alpha=alpha))
        axes.add_patch(Ellipse(middle, *(4 * float(w) for w in width), fill=False, edgecolor=INK, linewidth=0.8))
        _dots(axes, draws[:, index], s=4, color=INK, zorder=3)
        if labels is not None:
            _halo(axes, middle[0] + 2 * float(width[0]) + 0.13, middle[1], str(labels[index]), 9.5, ha="left")
    _square(axes, limit)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], labelpad=0)
    return figure


@styled
def draw_paths(codes: Array, paths: Sequence[tuple[str, Array, Array]], limit: float, names: tuple[str, str]) -> Figure:
    """Paths through the latent plane, red where they are outside the data's support.

    Args:
        codes: Posterior means of the training images, a faint ground, shape (n, 2).
        paths: For each its name, its codes of shape (steps, 2), and which of them lie inside, bool of shape (steps,).
        limit: Both axes go from -limit to limit.
        names: What the two axes are called.
    """
    figure = new_figure(WIDTH * 0.95)
    axes = figure.add_subplot()
    _dots(axes, codes, s=1.2, color=GROUND, rasterized=True)
    for name, path, inside in paths:
        axes.plot(*path.T, color=FAINT, linewidth=0.8)
        for where, colour, size in ((inside, INK, 14), (~inside, RED, 14)):
            _dots(axes, path[where], s=size, color=colour, zorder=3)
        visible = path[np.abs(path).max(1) < limit]
        if len(visible):
            _halo(axes, float(visible[0, 0]), float(visible[0, 1]) + 0.22, name, 9.5)
    _square(axes, limit)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], labelpad=0)
    return figure


@styled
def draw_styles(points: Array, values: Array, limit: float, names: tuple[str, str], value_name: str) -> Figure:
    """Images as points, coloured by something that was measured on them, with the scale of the colours above.

    Args:
        points: Where they lie, shape (n, 2).
        values: What was measured, shape (n,); a cross where NaN.
        limit: Both axes go from -limit to limit.
        names: What the two axes are called.
        value_name: What was measured, and in which unit.
    """
    figure = new_figure(WIDTH * 1.06)
    axes = figure.add_subplot()
    known = np.isfinite(values)
    _dots(axes, points[~known], marker="x", s=9, color=INK, linewidths=0.7)
    # The outermost values would leave the others pale.
    reach = float(np.quantile(np.abs(values[known]), 0.95)) if known.any() else 1.0
    size = float(np.clip(9000 / max(len(points), 1), 3, 9))
    colours = LinearSegmentedColormap.from_list("styles", [PEN, FAINT, RED])
    across, up = points[known].T
    shown = axes.scatter(
        across, up, c=values[known], s=size, cmap=colours, vmin=-reach, vmax=reach, linewidths=0, rasterized=True
    )
    _square(axes, limit)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], labelpad=0)
    bar = figure.colorbar(shown, ax=axes, location="top", shrink=0.6, aspect=30, pad=0.01, extend="both")
    bar.set_label(value_name)
    bar.outline.set_visible(False)
    return figure


def _dots(axes: Axes, points: Array, **keywords: Any) -> None:
    axes.scatter(points[:, 0], points[:, 1], **{"linewidths": 0, **keywords})


def _square(axes: Axes, limit: float) -> None:
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    step = 2 if limit < 9 else 5
    ticks = np.arange(-(limit // step) * step, limit + 1e-9, step)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)


def _scatter(axes: Axes, codes: Array, labels: Array | None, limit: float) -> None:
    # In a shuffled order, so that no class lies on top of the others.
    order = np.argsort(np.sin(np.arange(len(codes)) * 12.9898) * 43758.5453 % 1)
    size = float(np.clip(9000 / max(len(codes), 1), 1.6, 9))
    _dots(
        axes,
        codes[order],
        s=size,
        c=UNLABELLED if labels is None else np.asarray(PALETTE)[labels[order]].tolist(),
        rasterized=True,
    )
    _square(axes, limit)


def _name_classes(axes: Axes, codes: Array, labels: Array | None, limit: float) -> None:
    """Write each digit where its points are densest, but not over another one's name."""
    placed: list[Array] = []
    for digit in [] if labels is None else np.unique(labels):
        points = codes[labels == digit][:1500]
        points = points[np.abs(points).max(1) < limit * 0.97]
        if len(points) <= 3:
            continue
        near = ((points[:, None] - points[None]) ** 2).sum(-1)
        density = np.exp(-near / (2 * 0.3**2)).sum(1)
        free = np.array([all(np.linalg.norm(point - name) > 0.1 * limit for name in placed) for point in points])
        placed.append(points[np.argmax(density * free)])
        _halo(axes, float(placed[-1][0]), float(placed[-1][1]), str(digit), 13, weight="bold")


def _halo(axes: Axes, x: float, y: float, text: str, size: float, ha: str = "center", weight: str = "normal") -> None:
    written = axes.text(x, y, text, ha=ha, va="center", fontsize=size, weight=weight, color=INK, zorder=5, clip_on=True)
    written.set_path_effects([withStroke(linewidth=2.6, foreground="white")])


def _densities(axes: Axes, values: Array, labels: Array | None, limit: float, prior: bool, upright: bool) -> None:
    """Stacked densities of the classes along one axis: together the density of all points."""
    at = np.linspace(-limit, limit, _STEPS)
    parts = [(None, values)] if labels is None else [(int(d), values[labels == d]) for d in np.unique(labels)]
    base = np.zeros(_STEPS)
    for digit, part in parts:
        if len(part) < 3 or np.ptp(part) < 1e-6:
            continue
        top = base + gaussian_kde(part, bw_method=0.2)(at) * len(part) / len(values)
        colour = UNLABELLED if digit is None else PALETTE[digit]
        fill = axes.fill_between if upright else axes.fill_betweenx
        fill(at, base, top, color=colour, linewidth=0)
        base = top
    if prior:
        normal = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
        at, normal = at[normal > 0.004], normal[normal > 0.004]
        axes.plot(*((at, normal) if upright else (normal, at)), color=INK, linewidth=1, linestyle=(0, (3, 1.5)))
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelbottom=False, labelleft=False)
    (axes.set_yticks if upright else axes.set_xticks)([])
    (axes.set_ylim if upright else axes.set_xlim)(0, None)


def _legend(axes: Axes, digits: Array) -> None:
    axes.axis("off")
    for index, digit in enumerate(digits):
        column, row = index // 5, index % 5
        axes.plot(0.12 + 0.48 * column, 0.9 - 0.2 * row, "o", color=PALETTE[digit], markersize=5, clip_on=False)
        axes.text(0.26 + 0.48 * column, 0.9 - 0.2 * row, str(digit), va="center", fontsize=8.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
