"""The loss curves of a run, and what they say, in sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from digitvae.config import Config
from digitvae.figures import draw_losses, draw_terms
from digitvae.report.parts import Picture, Table, listed, number, percent, picture

COLLAPSED = 0.01
"""A dimension with a lower rate than this, in nats per image, is said to have collapsed."""

OVERFIT = 0.5
"""A rise of the validation loss above its lowest value, in nats per image, that is called overfitting."""


@dataclass(frozen=True)
class Curves:
    """The terms of all finished epochs, from ``metrics.jsonl``.

    Attributes:
        epochs: Shape (n,).
        train: Mean loss, rate and distortion in training, each of shape (n,).
        validation: The same in validation.
        rates: Validation rate of each latent dimension after each epoch, shape (n, latent), or None.
    """

    epochs: npt.NDArray[np.int64]
    train: dict[str, npt.NDArray[np.float64]]
    validation: dict[str, npt.NDArray[np.float64]]
    rates: npt.NDArray[np.float64] | None

    @classmethod
    def from_metrics(cls, metrics: Sequence[dict[str, Any]]) -> Curves:
        """Read the lines of ``metrics.jsonl``."""
        names = ("loss", "rate", "distortion")
        train, validation = (
            {name: np.array([m[part][name] for m in metrics]) for name in names} for part in ("train", "validation")
        )
        each = [m["validation"].get("rate_per_dimension") for m in metrics]
        rates = None if any(rate is None for rate in each) else np.array(each)
        return cls(np.array([m["epoch"] for m in metrics]), train, validation, rates)

    def until(self, epoch: int) -> Curves:
        """The curves as they stood after `epoch`."""
        part = self.epochs <= epoch
        return Curves(
            self.epochs[part],
            {name: values[part] for name, values in self.train.items()},
            {name: values[part] for name, values in self.validation.items()},
            None if self.rates is None else self.rates[part],
        )

    @property
    def best(self) -> int:
        """Index of the epoch with the lowest validation loss."""
        return int(np.argmin(self.validation["loss"]))


def losses_table(curves: Curves, data: str) -> Table:
    """The numbers behind a loss curve: at most 30 epochs, spread evenly, with the first, best and last."""
    count = len(curves.epochs)
    chosen = sorted({*np.linspace(0, count - 1, min(count, 28)).round().astype(int).tolist(), curves.best})
    rows = [
        [
            f"{curves.epochs[i]}",
            *(number(part[name][i]) for part in (curves.train, curves.validation) for name in part),
        ]
        for i in chosen
    ]
    part = "" if len(chosen) == count else f" {len(chosen)} of {count} epochs; metrics.jsonl has them all."
    return Table(
        "Numbers: loss",
        f"Nats per image; loss = distortion + beta × rate. {data}.{part}",
        ["epoch", "train loss", "rate", "distortion", "validation loss", "rate", "distortion"],
        rows,
    )


def losses_figure(curves: Curves, limits: tuple[float, float], last_epoch: int) -> Figure:
    """Train and validation loss so far, on axes that are the same for all snapshots."""
    return draw_losses(curves.epochs, curves.train["loss"], curves.validation["loss"], last_epoch, limits)


def losses_picture(figure: Figure, curves: Curves, data: str) -> Picture:
    """`losses_figure` with its words and numbers."""
    epoch, best = int(curves.epochs[-1]), curves.best
    train, validation = curves.train["loss"], curves.validation["loss"]
    return picture(
        figure,
        "Loss so far",
        f"Line chart of the training and the validation loss up to epoch {epoch}. After epoch {epoch} training is at "
        f"{train[-1]:.2f} and validation at {validation[-1]:.2f} nats per image; the lowest validation loss is "
        f"{validation[best]:.2f}, after epoch {curves.epochs[best]}.",
        f"Up to epoch {epoch}; the axes are the same for all snapshots. The first epochs may lie above them. {data}.",
        [losses_table(curves, data)],
    )


def terms_picture(curves: Curves, data: str) -> Picture:
    """Rate and distortion over all epochs."""
    rate, distortion = (curves.validation[name] for name in ("rate", "distortion"))
    return picture(
        draw_terms(
            curves.epochs,
            (curves.train["rate"], curves.validation["rate"]),
            (curves.train["distortion"], curves.validation["distortion"]),
        ),
        "Distortion and rate",
        f"Two line charts. Validation distortion ends at {distortion[-1]:.2f}, validation rate at {rate[-1]:.2f} "
        "nats per image.",
        f"The two terms of the loss, apart. Distortion falls as images are described better; the rate shows what the "
        f"codes spend on that. {data}.",
    )


def fit_words(curves: Curves, train_on_all: bool = False) -> list[str]:
    """How well the curves agree, and whether there is overfitting, measured; it cannot be seen on digits trained on."""
    train, validation = curves.train["loss"], curves.validation["loss"]
    best, last = curves.best, len(curves.epochs) - 1
    gap, rise = validation[-1] - train[-1], validation[-1] - validation[best]
    words = [
        f"After epoch {curves.epochs[-1]} the loss is {train[-1]:.2f} nats per image in training and "
        f"{validation[-1]:.2f} in validation; the lowest validation loss is {validation[best]:.2f}, after epoch "
        f"{curves.epochs[best]}."
    ]
    if train_on_all:
        words.append("The run was trained on the validation digits too, so these curves cannot show overfitting.")
    elif overfits(curves):
        words.append(
            f"The run overfits: since epoch {curves.epochs[best]} the training loss fell by another "
            f"{number(train[best] - train[last])} nats, but the validation loss rose by {number(rise)}. At the end "
            f"validation is {number(gap)} nats above training. Use the weights in checkpoints/best, which are those of "
            f"epoch {curves.epochs[best]}."
        )
    elif gap > 0.02 * abs(train[-1]):
        words.append(
            f"Validation is {number(gap)} nats above training: the model describes digits that it has seen better "
            "than new ones. The validation loss has not risen by more than "
            f"{OVERFIT} nats above its lowest value, so the gap has not hurt it yet."
        )
    elif gap >= 0:
        words.append(f"Validation is only {number(gap)} nats above training: there is no sign of overfitting.")
    else:
        words.append(
            f"Validation is {number(-gap)} nats below training: training terms are averages over an epoch during which "
            "the model still improves, and anything that makes training harder (augmentation, batch statistics) is off "
            "in validation. There is no sign of overfitting."
        )
    return words


def overfits(curves: Curves) -> bool:
    """Whether the validation loss rose after its lowest value while the training loss fell."""
    train, validation = curves.train["loss"], curves.validation["loss"]
    return bool(validation[-1] - validation[curves.best] > OVERFIT and train[-1] < train[curves.best])


def collapse_words(curves: Curves) -> str | None:
    """A sentence on latent dimensions that say nothing, where there are any."""
    if curves.rates is None:
        return None
    gone = [str(i + 1) for i, rate in enumerate(curves.rates[-1]) if rate < COLLAPSED]
    if not gone:
        return None
    many = len(gone) > 1
    return (
        f"Latent dimension{'s' if many else ''} {listed(gone)} {'have' if many else 'has'} collapsed: the rate there "
        f"is under {COLLAPSED} nats per image, so {'their codes say' if many else 'its code says'} nothing about the "
        "image. A lower training.beta, or a longer training.beta_warmup, may wake "
        f"{'them' if many else 'it'}."
    )


def rates_table(curves: Curves, data: str) -> Table | None:
    """The validation rate of each latent dimension after the last epoch."""
    if curves.rates is None:
        return None
    rows = [
        [f"dimension {i + 1}", number(rate, 3), "collapsed" if rate < COLLAPSED else "in use"]
        for i, rate in enumerate(curves.rates[-1])
    ]
    rows.append(["all", number(float(curves.rates[-1].sum()), 3), ""])
    caption = (
        f"Rate of each latent dimension after epoch {curves.epochs[-1]}, in nats per image; under {COLLAPSED} it has "
        f"collapsed. {data}."
    )
    return Table("Rate of each dimension", caption, ["latent dimension", "rate", "state"], rows)


def sound_words(config: Config, curves: Curves) -> list[str]:
    """What was done to keep the validation curve sound, as the recipe says."""
    settings = config.training
    noise = "latent noise" if settings.objective == "elbo" else "lattice"
    how = f"measured by the same function as training, with the same {noise} after every epoch"
    cut = f"Validation digits were cut off before training, are never trained on, and are {how}."
    if config.data.train_on == "all":
        cut = f"Validation digits are among those trained on, so their loss says nothing of new ones; they are {how}."
    words = [
        f"{cut} The test set was not touched.",
        f"The weights with the lowest validation loss are kept in checkpoints/best: epoch "
        f"{curves.epochs[curves.best]}.",
    ]
    if config.data.augmentation:
        share = config.data.augmentation_until
        until = "" if share == 1 else f", over the first {100 * share:g} % of the steps"
        some = config.data.augmentation_share
        which = "each training digit is" if some == 1 else f"{percent(some, 0)} of the training digits are"
        words.append(
            f"Augmentation of strength {config.data.augmentation:g}: {which} turned, slanted, scaled "
            f"and shifted a little, anew in every epoch{until}."
        )
    if config.model.augmentation_labels:
        words.append(
            "Beside the digit the model is told how each training digit was changed. Validation digits are told to be "
            "unchanged, and so is all that is drawn."
        )
    if settings.weight_decay:
        words.append(f"Weight decay {settings.weight_decay:g} on the weight matrices (AdamW).")
    if settings.average:
        words.append(
            f"A running average of the weights (decay {settings.average:g} a step) is what is validated and kept."
        )
    if settings.patience:
        words.append(f"Early stopping: training ends after {settings.patience} epochs without a lower validation loss.")
    if settings.schedule != "constant":
        words.append(f"The learning rate falls to zero along a {settings.schedule} schedule.")
    if settings.beta_warmup:
        words.append(
            f"Over the first {100 * settings.beta_warmup:g} % of the steps the weight of the rate rises from 0 to "
            f"{settings.beta:g}; until then the training loss counts less of the rate than the validation loss does."
        )
    if settings.basis_warmup:
        words.append(
            f"Over the first {100 * settings.basis_warmup:g} % of the steps the decoder's waves are let in, low ones "
            "first, so that the map is laid out coarsely before it is filled in."
        )
    off = [
        name
        for name, on in (
            ("augmentation", config.data.augmentation),
            ("weight decay", settings.weight_decay),
            ("averaging of weights", settings.average),
            ("early stopping", settings.patience),
        )
        if not on
    ]
    if off:
        words.append(f"Not used in this recipe: {listed(off)}.")
    return words
