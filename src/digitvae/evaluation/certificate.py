"""Whether generated digits help: a fixed reader trained on real digits alone, on generated ones alone, and on both.

Every reader is `digitvae.reading.CLASSIFIER` and takes `STEPS` steps, whatever it is trained on, so that no arm is
trained longer than another; few digits come up often. Where it is trained on both, half of each batch is real, so
that a few real digits do not drown among many generated ones. Of each seed, all readers begin with the same weights,
and the same real digits, drawn anew from the training digits, stand alone and beside the generated ones; its smaller
draws are parts of its larger ones. Nothing is chosen by looking at the digits that the readers are judged on.

That is what generated digits add to a reader that has few real ones. What their generator was trained on is not
counted. Beside the readers stands the copy audit: digits that are copies of real ones prove nothing.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor

from digitvae.data import Digits, Splits
from digitvae.data.digits import content_sha256
from digitvae.data.splits import fixed_order
from digitvae.errors import InputError
from digitvae.evaluation.measures import Measure
from digitvae.evaluation.rivals import pca_gaussian
from digitvae.evaluation.samples import RealDigits, sample_measures
from digitvae.evaluation.suite import BASELINE, copy_verdict, known_digits, section, with_more_draws
from digitvae.machine import machine_facts
from digitvae.reading import CLASSIFIER, read_digits, train_reader

SIZES = (10, 100, 1000)
"""Real labels per class."""

SEEDS = 5

STEPS = 480
"""Steps of every reader: two passes over 60,000 digits."""

FEWEST = 100
"""Generated digits that a certificate needs."""

FORMAT = 1
"""Version of the layout of ``certificate.json``."""

UNDECIDED = (
    "the real digits are 5,000 of the 60,000 training digits of MNIST, and others of these may have been copied; "
    "certify with --data mnist"
)
"""Why the copy audit is not decided among the digits of ``mnist-5k``."""

Notify = Callable[[int, int, str], None]
"""Told how many parts are done, of how many, and what comes next."""


def certify(
    generated: Digits,
    splits: Splits,
    name: str = "generated digits",
    sizes: Sequence[int] = SIZES,
    seeds: int = SEEDS,
    notify: Notify = lambda done, of, text: None,
) -> dict[str, Any]:
    """Measure whether generated digits help to read real ones, and whether they are copies.

    Readers are judged on the test digits, or on the validation digits where there are none. The copy audit is that
    of `digitvae.evaluation.suite`, on as many generated digits as there are of those (all, where there are fewer),
    taken in the fixed order; besides, no generated digit may equal a real one pixel for pixel. Among the digits of
    ``mnist-5k`` it finds copies, but cannot rule them out: whatever was trained on MNIST may have copied others.

    Args:
        generated: Labelled digits, 100 or more, with some of each class.
        splits: Real digits, labelled.
        name: What the generated digits are called.
        sizes: Real labels per class; those that the training digits do not have are left out, which a note says.
        seeds: How many; two or more.
        notify: Told of the progress.

    Returns:
        The certificate, ready for JSON: ``sections`` of measures as in ``evaluation.json``, ``copy_audit`` with
        ``passed`` (None where not decided) and ``why``, ``sizes`` that were possible, ``notes``, and all that it takes
        to repeat it. Intervals are those of 95 % by Student's t over the seeds: ``error`` in a measure's settings is
        half of one. Generated digits ``help`` where the interval of the gain, both less real alone, lies above zero.

    Raises:
        InputError: If digits lack labels or a class, there are too few of them, or a number is impossible.

    >>> certify(made, load_splits("mnist"))["copy_audit"]["passed"]  # doctest: +SKIP
    True
    """
    check_generated(generated, name)
    if seeds < 2:
        raise InputError("An interval needs two seeds or more.")
    judged_on, judged = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    if splits.train.labels is None or judged.labels is None:
        raise InputError(f"Readers need labels, and the digits of {splits.title} have none.")
    possible, notes = _possible(sizes, splits)
    arms = 1 + 2 * len(possible)
    progress = _Progress(notify, seeds * arms + 2)
    # The audit takes a minute and may say that all the rest is worth nothing: it comes first.
    samples = _samples(generated, splits, judged, judged_on, progress)
    exact = _exact_copies(generated, splits)
    samples["samples"]["measures"].append(exact.to_dict())
    verdict = copy_verdict(samples["samples"], samples[BASELINE])
    if exact.value:
        copies = round(exact.value * len(generated))
        verdict["why"].append(f"{exact.name}: {copies:,} of {len(generated):,}, allowed none")
        verdict["passed"] = False
    if splits.name == "mnist-5k" and verdict["passed"]:
        verdict = {"passed": None, "why": [UNDECIDED]}
    began = time.perf_counter()
    measures = _readers(generated, splits.train, judged, possible, seeds, progress)
    progress.finish()
    readers = section(judged_on, measures, began)
    reader = dataclasses.asdict(CLASSIFIER) | {"widths": list(CLASSIFIER.widths)}
    del reader["epochs"]  # steps stand for them
    return {
        "format": FORMAT,
        "name": name,
        "generated": {
            "digits": len(generated),
            "per_class": np.bincount(_labels(generated), minlength=10).tolist(),
            "sha256": content_sha256(generated.images, _labels(generated)),
        },
        "data": {
            "name": splits.name,
            "caption": splits.caption,
            "sha256": splits.sha256,
            "notes": list(splits.notes),
        },
        "protocol": {
            "reader": reader,
            "steps": STEPS,
            "both": "half of each batch is real",
            "seeds": list(range(seeds)),
        },
        "sizes": possible,
        "notes": notes,
        "sections": {"readers": readers, **samples},
        "copy_audit": verdict,
        "machine": machine_facts(),
    }


def check_generated(generated: Digits, name: str) -> None:
    """See that generated digits can be certified, before anything that takes time.

    Raises:
        InputError: If they have no labels, lack a class, or are fewer than `FEWEST`.
    """
    if generated.labels is None:
        raise InputError(f"{name} has no labels, and a reader learns from labelled digits: give them, or others.")
    if len(generated) < FEWEST:
        raise InputError(f"{name} holds {len(generated)} digits; a certificate needs {FEWEST} or more.")
    missing = [str(digit) for digit in range(10) if digit not in generated.labels]
    if missing:
        raise InputError(f"{name} has no digit {', '.join(missing)}: a reader would never learn it; add some.")


def interval_error(values: Sequence[float]) -> float:
    """Half the 95 % interval of a mean, by Student's t; two values or more.

    >>> round(interval_error([1.0, 2.0, 3.0]), 3)
    2.484
    """
    spread = statistics.stdev(values)
    return float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))


class _Progress:
    """Counts the parts of the work."""

    def __init__(self, notify: Notify, parts: int) -> None:
        self.notify, self.parts, self.done = notify, parts, -1

    def begin(self, text: str) -> None:
        self.done += 1
        self.notify(self.done, self.parts, text)

    def finish(self) -> None:
        self.notify(self.parts, self.parts, "")


def _possible(sizes: Sequence[int], splits: Splits) -> tuple[list[int], list[str]]:
    """The sizes that the training digits have labels for, and notes on what a reader of the table must know."""
    if not sizes or min(sizes) < 1:
        raise InputError("Real labels per class are whole numbers from 1, such as 10,100,1000.")
    fewest = int(np.bincount(_labels(splits.train), minlength=10).min())
    wanted = sorted(set(sizes))
    possible = [size for size in wanted if size <= fewest]
    has = f"{splits.title} has {fewest:,} training digits of its rarest class"
    if not possible:
        raise InputError(f"{has}: too few for {wanted[0]:,} real labels per class; give --real or --data.")
    notes = []
    if possible != wanted:
        left_out = ", ".join(f"{size:,}" for size in wanted if size not in possible)
        notes.append(f"{has}, so {left_out} real labels per class are left out.")
    if splits.name == "mnist-5k":
        notes.append(
            "The digits that judge are training digits of MNIST: seen in training by whatever was trained on MNIST."
        )
    return possible, notes


def _samples(generated: Digits, splits: Splits, judged: Digits, judged_on: str, progress: _Progress) -> dict[str, Any]:
    """Sections of the generated digits and of the generator that cannot copy."""
    progress.begin("copy audit")
    began = time.perf_counter()
    held = generated.images[fixed_order(len(generated))[: len(judged)]]
    real = RealDigits(known_digits(splits), judged)
    own = section(judged_on, sample_measures(held, real), began)
    progress.begin("copy audit of the PCA Gaussian")
    began = time.perf_counter()
    drawn = pca_gaussian(splits.train, len(judged)).images
    baseline = with_more_draws(sample_measures(drawn, real), splits.train, real)
    return {"samples": own, BASELINE: section(judged_on, baseline, began)}


def _exact_copies(generated: Digits, splits: Splits) -> Measure:
    """Of all generated digits, while the audit takes as many as there are digits to judge; validation digits too."""
    parts = [splits.train, splits.validation, *([] if splits.test is None else [splits.test])]
    real = {image.tobytes() for part in parts for image in part.images}
    share = sum(image.tobytes() in real for image in generated.images) / len(generated)
    definition = "Share of generated digits that equal a training, validation or test digit pixel for pixel."
    settings = {"real": sum(map(len, parts))}
    return Measure("exact copies", share, "share", definition, len(generated), settings=settings)


def _readers(
    generated: Digits, train: Digits, judged: Digits, sizes: Sequence[int], seeds: int, progress: _Progress
) -> list[Measure]:
    """Shares of the judging digits that the readers of each arm read, and what generated digits add to real ones."""
    alone: list[float] = []
    real_alone: dict[int, list[float]] = {size: [] for size in sizes}
    both: dict[int, list[float]] = {size: [] for size in sizes}
    for seed in range(seeds):
        which = f"of seed {seed + 1} of {seeds}"
        progress.begin(f"generated alone, {which}")
        alone.append(_share_read([generated], judged, seed))
        for size in sizes:
            real = draw_real(train, size, seed)
            progress.begin(f"real alone, {size:,} a class, {which}")
            real_alone[size].append(_share_read([real], judged, seed))
            progress.begin(f"both, {size:,} a class, {which}")
            both[size].append(_share_read([generated, real], judged, seed))
    made = f"{len(generated):,} generated digits"
    measures = [_measure("generated alone", alone, f"{_READ} {made}.", judged)]
    for size in sizes:
        drawn = f"{size:,} real digits per class"
        gain = [two - one for one, two in zip(real_alone[size], both[size], strict=True)]
        verdict = _verdict(statistics.fmean(gain), interval_error(gain))
        measures += [
            _measure(f"real alone, {size} a class", real_alone[size], f"{_READ} {drawn}.", judged),
            _measure(f"both, {size} a class", both[size], f"{_READ} {drawn} and {made}, half and half.", judged),
            _measure(f"gain, {size} a class", gain, f"Both less real alone, {drawn}, seed by seed.", judged, verdict),
        ]
    return measures


_READ = "Share of real digits that a fixed reader reads, trained on"


def _measure(name: str, shares: Sequence[float], definition: str, judged: Digits, verdict: str = "") -> Measure:
    settings = {"error": interval_error(shares), "shares": list(shares), "steps": STEPS}
    settings |= {"verdict": verdict} if verdict else {}
    return Measure.repeated(name, shares, "seeds", "share", definition, len(judged), **settings)


def _verdict(gain: float, error: float) -> str:
    """What generated digits do, where the interval of their gain leaves no doubt."""
    if gain - error > 0:
        return "help"
    return "hurt" if gain + error < 0 else "no difference shown"


def draw_real(train: Digits, size: int, seed: int) -> Digits:
    """The first `size` digits of each class, in an order that the seed gives: a larger draw holds the smaller one.

    >>> images, labels = np.zeros((40, 28, 28), np.uint8), np.arange(40, dtype=np.uint8) % 10
    >>> np.bincount(draw_real(Digits(images, labels), 3, seed=0).labels)
    array([3, 3, 3, 3, 3, 3, 3, 3, 3, 3])
    """
    labels = _labels(train)
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    return train.subset(np.concatenate([order[labels[order] == digit][:size] for digit in range(10)]))


def _share_read(sources: Sequence[Digits], judged: Digits, seed: int) -> float:
    """Share of digits that a reader reads, each of whose batches has as many digits from one source as from another."""
    generator = torch.Generator().manual_seed(seed)
    width = CLASSIFIER.batch_size // len(sources)
    columns, before = [], 0
    for source in sources:
        columns.append(before + _shuffled(len(source), STEPS * width, generator).view(STEPS, width))
        before += len(source)
    images = np.concatenate([source.images for source in sources])
    labels = np.concatenate([_labels(source) for source in sources])
    reader = train_reader(images, labels, CLASSIFIER, seed, order=torch.cat(columns, 1))
    read = read_digits(reader, judged.images).argmax(1).numpy()
    return float(np.mean(read == _labels(judged)))


def _shuffled(n: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` positions below `n`: one shuffled pass after another."""
    passes = -(-count // n)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(passes)])[:count]


def _labels(digits: Digits) -> npt.NDArray[np.uint8]:
    """Labels that were seen to be there."""
    return np.asarray(digits.labels, np.uint8)
