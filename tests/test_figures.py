from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from digitvae import figures
from digitvae.figures.style import PALETTE, ink, tile

NAMES = ("latent dimension 1", "latent dimension 2")
RNG = np.random.default_rng(0)
IMAGES = RNG.random((40, 28, 28))
CODES = RNG.normal(size=(300, 2))
LABELS = np.arange(300) % 10
EPOCHS = np.arange(1, 31)
CURVES = (150 + 100 / EPOCHS, 153 + 100 / EPOCHS)

DRAWN = {
    "grid": lambda: figures.draw_grid(IMAGES[:9].reshape(3, 3, 28, 28), np.array([-4.0, 0.0, 4.0]), NAMES),
    "line": lambda: figures.draw_grid(IMAGES[None, :5], np.linspace(-4, 4, 5), NAMES),
    "samples": lambda: figures.draw_samples(IMAGES[:10], 5),
    "pairs": lambda: figures.draw_pairs(IMAGES[:12], IMAGES[:12], ("real", "rebuilt")),
    "draws": lambda: figures.draw_posterior_draws(
        IMAGES[:2], IMAGES[:8].reshape(2, 4, 28, 28), ["0", "1"], ["4 of 4"] * 2
    ),
    "rows": lambda: figures.draw_rows(
        IMAGES[:6].reshape(2, 3, 28, 28), ["a", "b\nc"], ["1", "2", "3"], np.eye(2, 3, dtype=bool), (0,), ((1, "x"),)
    ),
    "map": lambda: figures.draw_map(CODES, LABELS, 4, NAMES, prior=True),
    "map without labels": lambda: figures.draw_map(CODES, None, 4, NAMES, prior=False),
    "classes": lambda: figures.draw_classes(CODES, LABELS, 4),
    "styles": lambda: figures.draw_styles(CODES, CODES[:, 0] + CODES[:, 1], 4, NAMES, "slant"),
    "nothing measured": lambda: figures.draw_styles(CODES, CODES[:, 0] * np.nan, 4, NAMES, "slant"),
    "clusters": lambda: figures.draw_clusters(CODES, LABELS, 4, CODES[:3]),
    "posteriors": lambda: figures.draw_posteriors(
        CODES, CODES[:3], np.full((3, 2), 0.2), CODES[:30].reshape(10, 3, 2), LABELS[:3], 4, NAMES
    ),
    "paths": lambda: figures.draw_paths(CODES, [("0 to 1", CODES[:9], np.arange(9) > 3)], 4, NAMES),
    "losses": lambda: figures.draw_losses(EPOCHS, *CURVES, 30),
    "one epoch": lambda: figures.draw_losses(EPOCHS[:1], CURVES[0][:1], CURVES[1][:1], 1),
    "terms": lambda: figures.draw_terms(EPOCHS, CURVES, CURVES),
}  # fmt: skip


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_content_gives_the_same_bytes(name: str) -> None:
    first, second = DRAWN[name](), DRAWN[name]()
    assert figures.to_png(first, 60) == figures.to_png(second, 60)
    assert figures.to_svg(first) == figures.to_svg(second)


@pytest.mark.parametrize("name", DRAWN)
def test_an_svg_stands_alone_with_type_in_the_readers_font(name: str) -> None:
    svg = figures.to_svg(DRAWN[name]())
    root = ET.fromstring(svg)
    links = [value for e in root.iter() for key, value in e.attrib.items() if key.endswith("href")]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "DejaVu" not in svg
    assert "<text" in svg or name == "samples"
    for link in links:
        if link.startswith("data:"):
            image = Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2])))
            assert image.mode == "P"


def test_matplotlibs_own_settings_neither_matter_nor_change() -> None:
    expected = figures.to_png(DRAWN["losses"](), 60)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert figures.to_png(DRAWN["losses"](), 60) == expected
        assert dict(mpl.rcParams) == before


def test_no_global_figures_are_made() -> None:
    code = "import sys, digitvae.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 2), (2, 1)])
def test_a_grid_puts_each_image_where_its_row_and_column_are(row: int, column: int) -> None:
    images = np.zeros((3, 3, 28, 28))
    images[row, column, 4:24, 4:24] = 1
    figure = figures.draw_grid(images, np.array([-4.0, 0.0, 4.0]), NAMES)
    picture = pixels(figures.to_png(figure, 100))
    axes = figure.axes[0]
    x, y = axes.transData.transform(([-4, 0, 4][column], [4, 0, -4][row]))
    scale = picture.shape[0] / figure.bbox.height
    assert picture[int(picture.shape[0] - y * scale), int(x * scale)].max() < 60


def test_rows_mark_what_they_are_told_to() -> None:
    marks = np.zeros((2, 3), bool)
    plain = pixels(figures.to_png(figures.draw_rows(IMAGES[:6].reshape(2, 3, 28, 28), ["a", "b"], marks=marks), 80))
    marks[1, 2] = True
    marked = pixels(figures.to_png(figures.draw_rows(IMAGES[:6].reshape(2, 3, 28, 28), ["a", "b"], marks=marks), 80))
    changed = np.argwhere(np.abs(plain - marked).max(-1) > 30)
    assert len(changed) > 10
    assert changed[:, 0].min() > 0.7 * plain.shape[0]
    assert changed[:, 1].min() > 0.6 * plain.shape[1]


def test_tile_keeps_every_image_whole() -> None:
    sheet = tile(IMAGES[:5], 3, gap=2)
    assert sheet.shape == (58, 88)
    np.testing.assert_array_equal(sheet[30:58, 30:58], IMAGES[4])
    assert not sheet[28:30].any()
    assert not sheet[30:, 60:].any()


def test_ink_is_as_dense_as_the_image() -> None:
    alpha = ink(np.array([[0.0, 0.5, 1.0]]))[0, :, 3]
    assert alpha[0] == 0
    assert alpha[2] == 255
    assert abs(int(alpha[1]) - 127) <= 255 / 31
    assert len(np.unique(ink(IMAGES)[..., 3])) <= 32


def test_loss_limits_show_the_end_of_training() -> None:
    low, high = figures.loss_limits(*CURVES)
    assert low < min(CURVES[0])
    assert high < 250
    low, high = figures.loss_limits(np.array([5.0]), np.array([5.0]))
    assert low < 5 < high


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 1e-4, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes (2009), severity 1.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}  # fmt: skip


@pytest.mark.parametrize("eyes", SEEN_BY)
def test_no_two_digits_that_look_alike_look_alike_in_colour(eyes: str) -> None:
    seen = [lab(np.clip(SEEN_BY[eyes] @ linear(colour), 0, 1)) for colour in PALETTE]
    distance = np.array([[np.linalg.norm(a - b) for b in seen] for a in seen])
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 20
    for alike in ((4, 7, 9), (3, 5, 8)):
        assert distance[np.ix_(alike, alike)].min() > 50


def test_an_animation_shows_its_frames_in_order_and_the_last_longest() -> None:
    frames = []
    for shade in (0, 120, 240):
        out = io.BytesIO()
        Image.new("RGB", (60, 30), (shade,) * 3).save(out, "png")
        frames.append([out.getvalue()] * 2)
    with Image.open(io.BytesIO(figures.write_animation(frames, ["a", "b", "c"], height=30))) as image:
        assert image.n_frames == 3
        assert image.info["loop"] == 0
        shades, durations = [], []
        for position in range(3):
            image.seek(position)
            shades.append(np.asarray(image.convert("L"))[45, 30])
            durations.append(image.info["duration"])
    assert np.abs(np.array(shades, int) - [0, 120, 240]).max() < 12
    assert durations[0] == durations[1] < durations[2]


def test_svgs_carry_no_date() -> None:
    assert not re.search(r"20\d\d-\d\d-\d\d", figures.to_svg(DRAWN["losses"]()))
