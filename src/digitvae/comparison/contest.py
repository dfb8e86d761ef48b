"""The contest: each model is trained for its seconds with each seed, and measured; a file for each, so that it can be
stopped and continued."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from digitvae.comparison.contenders import BASELINE, CONTENDERS, FLOOR, TRAINED, Coder, Contender, Maker, VAEContender
from digitvae.comparison.editing import edited, paired
from digitvae.data import Digits, Splits
from digitvae.data.files import write_aside
from digitvae.errors import InputError, RunError, TrainingDivergedError
from digitvae.evaluation.density import binarize, log_likelihood
from digitvae.evaluation.measures import Measure
from digitvae.evaluation.samples import (
    RealDigits,
    classification_accuracy,
    frechet_distance,
    overlap,
    sample_measures,
)
from digitvae.evaluation.suite import with_more_draws
from digitvae.machine import machine_facts
from digitvae.reading import digit_features, frozen, read_digits

FORMAT = 3
"""Version of the layout of the files of a comparison, and of how things are measured."""

LOOKS = (0.05, 0.1, 0.15, 0.2, 0.4, 0.7, 1.0)
"""Shares of the budget after which a model is looked at."""

MISSING = 0.01
"""A class that fewer of the digits are read as, as a share, is missing; an even share is 0.1."""

SCORED = 1000
"""Digits whose likelihood is measured, at most."""

PAIRS = 50
"""Pairs of real digits of each class that are edited."""

SHEET = 50
"""Digits of each model that the page shows."""

Notify = Callable[[int, int, str], None]
"""Told how many parts are done, of how many, and what comes next."""


@dataclass(frozen=True)
class Settings:
    """What a comparison is of.

    Attributes:
        models: Names of those who take part; the floor and the baseline of the copy audit always do.
        budget: Seconds of training for each.
        seeds: How often each is trained, with the seeds 0, 1, ...
        drawn: Digits that each draws for the classification accuracy score.
        curve: Digits that each draws for a point of its curve.
    """

    models: tuple[str, ...] = ("studio", "map", "gan", "gan-classic", "means")
    budget: float = 300.0
    seeds: int = 5
    drawn: int = 60_000
    curve: int = 5_000

    def everyone(self) -> tuple[str, ...]:
        """All who take part, each once."""
        return tuple(dict.fromkeys([*self.models, BASELINE, FLOOR]))


def compare(
    folder: Path,
    splits: Splits,
    settings: Settings,
    notify: Notify = lambda done, of, text: None,
    makers: Mapping[str, Maker] = CONTENDERS,
) -> list[dict[str, Any]]:
    """Train and measure everyone with every seed, and keep each in a file of `folder`; what is there is not done again.

    All are judged on the test digits, or on the validation digits where there are none. Nothing but training counts
    against the budget. A training that is stopped begins anew the next time.

    Args:
        folder: Where to keep what is measured; it is made where it is not there.
        splits: The digits, with labels.
        settings: Who takes part, how long and how often.
        notify: Told what comes next.
        makers: Everyone who may take part, by name.

    Returns:
        The entries: a dictionary for each model and seed, seeds together.

    Raises:
        InputError: If somebody takes no part, the budget or the seeds are below what makes sense, or digits have no
            labels.
        RunError: If `folder` holds another comparison or cannot be written.
    """
    _check(settings, splits, makers)
    _claim(folder, settings, splits)
    names = settings.everyone()
    turns = [(name, seed) for seed in range(settings.seeds) for name in names]
    entries = []
    real = RealDigits(splits.train, _judged(splits))
    for done, (name, seed) in enumerate(turns):
        path = entry_file(folder, name, seed)
        if not path.exists():  # its pictures were kept before it; where they are gone since, the page does without
            say = _saying(notify, done, len(turns), f"{name}, seed {seed}")
            entry, pictures = _entry(name, makers[name], splits, settings, seed, real, say)
            _keep(path.with_suffix(".npz"), _packed(pictures))
            _keep(path, json.dumps(entry, indent=2).encode())
        entries.append(json.loads(path.read_text(encoding="utf-8")))
    notify(len(turns), len(turns), "done")
    return entries


def _keep(path: Path, content: bytes) -> None:
    write_aside(path, lambda file: file.write(content), overwrite=True)


def _saying(notify: Notify, done: int, of: int, title: str) -> Callable[[str], None]:
    return lambda text: notify(done, of, f"{title}: {text}")


def entry_file(folder: Path, name: str, seed: int) -> Path:
    """Where the entry of a model and seed is kept; its pictures lie beside it as ``.npz``."""
    return folder / "entries" / f"{name}-{seed}.json"


def _check(settings: Settings, splits: Splits, makers: Mapping[str, Maker]) -> None:
    for name in settings.everyone():
        if name not in makers:
            raise InputError(f"'{name}' takes no part in the comparison; use some of: {', '.join(makers)}.")
    if not settings.budget > 0 or not math.isfinite(settings.budget):
        raise InputError(f"The budget must be seconds above 0, not {settings.budget:g}.")
    if settings.seeds < 1:
        raise InputError(f"The seeds must be 1 or more, not {settings.seeds}.")
    if splits.train.labels is None or _judged(splits).labels is None:
        raise InputError("The comparison needs labelled digits, and these have no labels.")


def spread_out(digits: Digits, count: int) -> Digits:
    """About `count` of the digits, evenly from all: in MNIST the first test digits are by others than the last."""
    return digits.subset(slice(None, None, max(1, len(digits) // count)))


def _judged(splits: Splits) -> Digits:
    return splits.validation if splits.test is None else splits.test


def _claim(folder: Path, settings: Settings, splits: Splits) -> None:
    """Write down what the folder's comparison is of, or check that it is of the same."""
    content = {"format": FORMAT, "data": splits.sha256, **dataclasses.asdict(settings), "models": list(settings.models)}
    path = folder / "settings.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        # More seeds and more models may be added to what is there.
        for key in ("format", "data", "budget", "drawn", "curve"):
            if found.get(key) != content[key]:
                raise RunError(
                    f"{folder} holds another comparison ({key} {found.get(key)}, not {content[key]}); name another "
                    "folder with -o."
                )
    elif folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} holds something else; name another folder with -o.")
    _keep(path, (json.dumps(content, indent=2) + "\n").encode())


def _entry(
    name: str,
    make: Maker,
    splits: Splits,
    settings: Settings,
    seed: int,
    real: RealDigits,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one model with one seed and measure it."""
    contender = make(splits, settings.budget, seed)
    curve, failed = _trained(contender, splits, settings, seed, say)
    entry: dict[str, Any] = {
        "format": FORMAT,
        "model": name,
        "title": contender.title,
        "kind": contender.kind,
        "seed": seed,
        "parameters": contender.parameters,
        "labelled": contender.labelled,
        "seconds": contender.seconds,
        "epochs": contender.epochs,
        "curve": curve,
        "failed": failed,
        "missing": [],
        "measures": [],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_facts(),
    }
    if failed is not None:
        return entry, {}
    say("measuring")
    judged, digits = _judged(splits), contender.draw(settings.drawn, seed)
    measures = _measures(contender, digits, splits, real, seed)
    if name == BASELINE:
        measures = with_more_draws(measures, splits.train, real, seed)
    shares = np.array(next(m.settings["counts"] for m in measures if m.name == "rarest class"))
    entry["missing"] = np.flatnonzero(shares < MISSING * shares.sum()).tolist()
    pictures = {"sheet": digits.images[:SHEET]}
    if isinstance(contender, VAEContender):
        measures.append(_likelihood(contender, judged))
    if isinstance(contender, Coder):
        say("editing real digits")
        edits = edited(contender, paired(spread_out(judged, len(judged) // 2), PAIRS), splits.train)
        measures += edits.measures
        pictures |= {name: getattr(edits, name) for name in ("originals", "again", "thicker", "paths")}
    entry["measures"] = [measure.to_dict() for measure in measures]
    return entry, pictures


def _trained(
    contender: Contender, splits: Splits, settings: Settings, seed: int, say: Callable[[str], None]
) -> tuple[list[dict[str, float]], str | None]:
    """Train in stretches, with a look after each: the curve, and why it failed where it did."""
    curve: list[dict[str, float]] = []
    judged = _judged(splits)
    if contender.kind == "floor":  # what a curve can come down to, with as many digits
        held = splits.train if splits.test is None else splits.validation
        ends = [digit_features(frozen("features")[0], spread_out(d, settings.curve).images) for d in (judged, held)]
        return [_look(0.0, *ends)], None
    if contender.kind not in TRAINED:
        return curve, None
    real = digit_features(frozen("features")[0], spread_out(judged, settings.curve).images)
    for share in LOOKS:
        say(f"training, {contender.seconds:.0f} of {settings.budget:.0f} s")
        try:
            contender.train(share * settings.budget)
        except TrainingDivergedError as error:
            return curve, str(error)
        drawn = digit_features(frozen("features")[0], contender.draw(settings.curve, seed).images)
        curve.append(_look(contender.seconds, real, drawn))
    return curve, None


def _look(seconds: float, real: torch.Tensor, drawn: torch.Tensor) -> dict[str, float]:
    found = overlap(real, drawn)
    distance = frechet_distance(real, drawn)
    return {"seconds": seconds, "FID-digit": distance, "coverage": found.coverage, "recall": found.recall}


def _measures(contender: Contender, digits: Digits, splits: Splits, real: RealDigits, seed: int) -> list[Measure]:
    """The measures of samples, as `digitvae evaluate` makes them, and the classification accuracy score."""
    judged, held = real.judged, digits
    if contender.kind == "floor":
        # The readers that judge were trained on the training digits, so validation digits are the floor where test
        # digits judge; there are 12,000 of them in MNIST, more than are needed.
        held = splits.train if splits.test is None else splits.validation
        # Its last digits are not held against themselves.
        train = splits.train.subset(slice(0, max(len(judged), len(splits.train) - len(judged))))
        real = RealDigits(train, judged)
    measures = sample_measures(held.images[-len(judged) :], real)
    read = read_digits(frozen("reader")[0], digits.images).argmax(1).numpy().astype(np.uint8)
    labels = digits.labels
    if contender.kind == "floor" and held.labels is not None:
        seen = read_digits(frozen("reader")[0], held.images).argmax(1).numpy()
        measures.append(
            Measure("read as asked for", float(np.mean(seen == held.labels)), "share", _AGREEMENT, len(held))
        )
    elif contender.labelled and labels is not None:
        agreement = float(np.mean(read == labels))
        measures.append(Measure("read as asked for", agreement, "share", _AGREEMENT, len(digits)))
    score = classification_accuracy(
        digits.images,
        read if labels is None else labels,
        judged.images,
        np.asarray(judged.labels),
        seeds=1,
        first_seed=seed,
    )
    labelled_by = "frozen reader" if labels is None else "generator"
    return [*measures, dataclasses.replace(score, settings={**score.settings, "labelled_by": labelled_by})]


_AGREEMENT = "Share of generated digits that a frozen reader reads as the digit that was asked for."
_LIKELIHOOD = "Mean log-likelihood, binarised with the seed 0; with labels known where the model is told them."


def _likelihood(contender: VAEContender, judged: Digits) -> Measure:
    digits = spread_out(judged, SCORED)
    label = torch.from_numpy(np.asarray(digits.labels).astype(np.int64)) if contender.labelled else None
    values, estimator = log_likelihood(contender.model.given(label), binarize(digits.images, 0))
    settings = {"estimator": estimator, "binarization": "dynamic", "given": "the digit" if contender.labelled else ""}
    return Measure("log p(x)", float(values.double().mean()), "nats", _LIKELIHOOD, len(digits), settings=settings)


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
