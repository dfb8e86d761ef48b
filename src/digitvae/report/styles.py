"""The section of a model that is told the digit: one style drawn as ten digits, and the ways between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.distributions import StandardNormal
from digitvae.figures import draw_rows, draw_samples
from digitvae.flows import FlowPrior
from digitvae.latent import interpolate
from digitvae.models.vae import VAE
from digitvae.morphometry import measure
from digitvae.reading import frozen, read_digits
from digitvae.report.coded import Array, Coded, pixels, stream, unit
from digitvae.report.parts import Picture, Table, number, percent, picture
from digitvae.report.told import centred

STEPS = 9
"""Digits of a path, its ends included."""

SPREADS = (0.0, 0.5, 1.0, 1.5)
"""What the prior's noise is multiplied by."""

EACH = 50
"""Digits of each class that are read at each spread."""

LABELS_BETWEEN = ((3, 8), (1, 7), (4, 9))
"""Classes between which the label goes while the style is held."""

CARRIED = 100
"""Validation digits whose style is drawn as all digits and measured, at most: the first ones."""

HANDS = 2
"""Styles of the ribbon."""


@dataclass(frozen=True)
class StylesSection:
    """Words and pictures of styles."""

    texts: Sequence[str]
    left: Sequence[Picture]
    right: Sequence[Picture]


def styles_section(coded: Coded, data: str, seed: int) -> StylesSection:
    """Styles of validation digits in all digits, and paths between styles and between labels.

    Args:
        coded: The last snapshot, of a model that is told the digit and of digits with labels.
        data: The caption of the data.
        seed: Seed of the run.
    """
    texts = [
        "The decoder is told which digit to draw, so that the code is free to say how it is written. Take the style of "
        "a real digit, change only what the decoder is told, and the same hand should write another digit.",
    ]
    if isinstance(coded.model.prior, FlowPrior):
        texts.append(
            "The prior is a Normal that learned layers bend, for each digit in its own way: the same slant may be "
            "another code in a 4 than in a 0. So a style is here the noise that the prior bends into the code of its "
            "digit; bent for another digit, it is that digit's code."
        )
    texts.append(_carried(coded))
    left, right = [_ten(coded, data), _between_labels(coded, data)], []
    if (styles := _between_styles(coded, data)) is not None:
        right.append(styles)
    if isinstance(coded.model.prior, FlowPrior | StandardNormal):
        right.append(_spreads(coded, seed))
    return StylesSection(texts, left, right)


def ribbon(coded: Coded, seed: int) -> Picture:
    """The ten digits in a few styles, for the top of the page."""
    prior = coded.model.prior
    noise = (prior.base if isinstance(prior, FlowPrior) else prior).sample(HANDS, stream(seed, "ribbon")).detach()
    images = draw_as(coded.model, noise.repeat_interleave(10, 0), torch.arange(10).repeat(HANDS))
    return picture(
        draw_samples(images, 10 * HANDS),
        "Digits to order",
        f"The digits 0 to 9 {HANDS} times in a row, drawn by the model, each time in one style.",
        f"Nobody wrote these: {HANDS} random styles, each drawn as the ten digits.",
    )


def styles_of(coded: Coded, positions: Sequence[int]) -> Tensor:
    """The styles of validation digits, shape (n, latent)."""
    assert coded.validation.labels is not None
    labels = torch.from_numpy(coded.validation.labels[list(positions)].astype(np.int64))
    with torch.inference_mode():
        return _noise(coded.model, coded.posterior.loc[list(positions)], labels)


def _noise(model: VAE, codes: Tensor, labels: Tensor) -> Tensor:
    """Styles from codes: what a prior that bends makes them of; codes themselves where it does not."""
    prior = model.given(labels).prior
    return prior.to_noise(codes)[0] if isinstance(prior, FlowPrior) else codes


def draw_as(model: VAE, noise: Tensor, label: Tensor) -> Array:
    """Styles drawn as digits: integers, shape (n,), or weights of the ten, shape (n, 10); images (n, 28, 28)."""
    with torch.inference_mode():
        given = model.given(label)
        codes = given.prior.to_code(noise) if isinstance(given.prior, FlowPrior) else noise
        return pixels(given.draw(codes).float())


def _carried(coded: Coded) -> str:
    """How much of a style is found again in other digits, measured on images."""
    chosen = range(min(CARRIED, len(coded.validation)))
    labels = np.asarray(coded.validation.labels)[list(chosen)].repeat(10)
    asked = np.tile(np.arange(10), len(chosen))
    drawn = draw_as(coded.model, styles_of(coded, chosen).repeat_interleave(10, 0), torch.from_numpy(asked))
    other = labels != asked
    right = (read_digits(frozen("reader")[0], drawn).argmax(1).numpy() == asked)[other].mean()
    before, after = measure(coded.validation.images[: len(chosen)]), measure(drawn)
    found = []
    for real, new in ((before.slant, after.slant), (before.thickness, after.thickness)):
        pairs = np.column_stack([real.repeat(10), new])
        there = other & np.isfinite(pairs).all(1)
        pairs[there] = centred(centred(pairs[there], labels[there]), asked[there])
        one, two = pairs[there].T
        spread = np.sqrt(np.square(one).sum() * np.square(two).sum())
        found.append(float((one * two).sum() / spread) if spread else 0.0)
    return (
        f"Measured: of {int(other.sum()):,} digits drawn in the style of a validation digit of another class, "
        f"{percent(float(right))} are read as what was asked for. Between a real digit and those in its style the "
        f"slant has a correlation of {number(found[0])} and the thickness one of {number(found[1])}, differences "
        "between classes taken off: 1 is all in step, 0 is unrelated."
    )


def _ten(coded: Coded, data: str) -> Picture:
    chosen = coded.examples()
    styles = styles_of(coded, chosen)
    images = draw_as(coded.model, styles.repeat_interleave(10, 0), torch.arange(10).repeat(len(chosen)))
    real = unit(coded.validation.images[chosen])
    rows = np.concatenate([real[:, None], images.reshape(len(chosen), 10, 28, 28)], 1)
    return picture(
        draw_rows(rows, [coded.title(i) for i in chosen], ["real", *map(str, range(10))], framed=(0,)),
        "One style, ten digits",
        f"{len(chosen)} validation digits, one of each class; each is followed by the digits 0 to 9 drawn in its "
        "style.",
        "Framed: the first validation digit of each class. Beside it: its style, drawn as each of the ten digits. "
        f"{data}.",
    )


def _between_styles(coded: Coded, data: str) -> Picture | None:
    """Between the styles of the first two digits of a class; None where no class has two."""
    labels = np.asarray(coded.validation.labels)
    pairs = {int(d): np.flatnonzero(labels == d)[:2].tolist() for d in np.unique(labels)}
    pairs = {digit: pair for digit, pair in pairs.items() if len(pair) == 2}
    shown = [digit for digit in (2, 4, 7) if digit in pairs] or list(pairs)[:3]
    if not shown:
        return None
    first, last = (styles_of(coded, [pairs[digit][end] for digit in shown]) for end in (0, 1))
    path = interpolate(first, last, STEPS).swapaxes(0, 1)
    images = draw_as(coded.model, path.reshape(-1, path.shape[-1]), torch.tensor(shown).repeat_interleave(STEPS))
    ends = [unit(coded.validation.images[[pairs[digit][end] for digit in shown]])[:, None] for end in (0, 1)]
    rows = np.concatenate([ends[0], images.reshape(len(shown), STEPS, 28, 28), ends[1]], 1)
    heads = ["real", "a", *[""] * (STEPS - 2), "b", "real"]
    return picture(
        draw_rows(rows, list(map(str, shown)), heads, framed=(0, STEPS + 1)),
        "Between two styles",
        f"Rows of {STEPS} drawn digits that change from the style of one real digit to that of another of its class.",
        f"The label is held, the style goes straight from a to b. Framed: the real digits, the first two validation "
        f"digits of their class. {data}.",
    )


def _between_labels(coded: Coded, data: str) -> Picture:
    """Between two labels, with the style of a real digit of the first."""
    by_class = {int(coded.title(i)): i for i in coded.examples()}
    pairs = [pair for pair in LABELS_BETWEEN if pair[0] in by_class] or [(d, (d + 1) % 10) for d in list(by_class)[:3]]
    chosen = [by_class[first] for first, _ in pairs]
    eye = torch.eye(10)
    weights = torch.stack([interpolate(eye[first], eye[last], STEPS) for first, last in pairs])
    images = draw_as(coded.model, styles_of(coded, chosen).repeat_interleave(STEPS, 0), weights.reshape(-1, 10))
    real = unit(coded.validation.images[chosen])
    rows = np.concatenate([real[:, None], images.reshape(len(pairs), STEPS, 28, 28)], 1)
    heads = ["real", "a", *[""] * (STEPS - 2), "b"]
    return picture(
        draw_rows(rows, [f"{first} to {last}" for first, last in pairs], heads, framed=(0,)),
        "Between two labels",
        f"Rows of {STEPS} drawn digits, {', '.join(f'{first} to {last}' for first, last in pairs)}, in the style of a "
        "real digit.",
        "The style is held, the label goes from a to b: halfway the model is told half of each, which no training "
        f"digit was. Framed: the real digit whose style it is. {data}.",
    )


def _spreads(coded: Coded, seed: int) -> Picture:
    """Samples with the prior's noise made smaller and larger, and how many are read as they should be."""
    labels = torch.arange(10).repeat(EACH)
    noise = torch.randn(len(labels), coded.model.latent_dim, generator=stream(seed, "spreads"))
    rows, table = [], []
    for spread in SPREADS:
        part = labels if spread else labels[:10]  # without noise there is but one style
        images = draw_as(coded.model, spread * noise[: len(part)], part)
        right = (read_digits(frozen("reader")[0], images).argmax(1) == part).float().mean()
        rows.append(images[:10])
        table.append([f"{spread:g}", f"{len(part)}", percent(float(right))])
    return picture(
        draw_rows(np.stack(rows), [f"{spread:g}" for spread in SPREADS], list(map(str, range(10)))),
        "More and less usual styles",
        f"{len(SPREADS)} rows of the ten digits, drawn with the noise of the prior multiplied by "
        f"{', '.join(f'{spread:g}' for spread in SPREADS)}.",
        "Random styles, their noise multiplied by the number at the left: 0 is the middle of all styles, 1 is what the "
        "prior says, more is further out than most people write.",
        [
            Table(
                "Numbers: spread",
                "Digits that the frozen reader reads as what was asked for.",
                ["noise times", "drawn", "read as asked"],
                table,
            )
        ],
    )
