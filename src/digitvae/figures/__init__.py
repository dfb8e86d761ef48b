"""Arrays to figures: no model and no metric in here, only what is given, drawn.

Every function gives a `matplotlib.figure.Figure`, built without pyplot's global state. `to_png` and `to_svg` turn one
into bytes that depend on nothing but its content.
"""

from digitvae.figures.animation import write_animation
from digitvae.figures.maps import draw_classes, draw_clusters, draw_map, draw_paths, draw_posteriors, draw_styles
from digitvae.figures.races import draw_race
from digitvae.figures.sheets import (
    draw_grid,
    draw_pairs,
    draw_planes,
    draw_posterior_draws,
    draw_rows,
    draw_samples,
)
from digitvae.figures.style import to_png, to_svg
from digitvae.figures.terms import draw_losses, draw_terms, loss_limits

__all__ = [
    "draw_classes",
    "draw_clusters",
    "draw_grid",
    "draw_losses",
    "draw_map",
    "draw_pairs",
    "draw_paths",
    "draw_planes",
    "draw_posterior_draws",
    "draw_posteriors",
    "draw_race",
    "draw_rows",
    "draw_samples",
    "draw_styles",
    "draw_terms",
    "loss_limits",
    "to_png",
    "to_svg",
    "write_animation",
]
