"""How good generated digits are as a set: near to real ones, as varied, legible, useful to train on, and not copied.

Real digits are the test digits where nothing else is said. Distances between sets are measured on the features of a
small digit network of our own, so ``FID-digit`` does not compare with FID on Inception features.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from digitvae.data import Digits
from digitvae.errors import InputError
from digitvae.evaluation.measures import Measure, network_sha256
from digitvae.images import as_images, unit_range
from digitvae.reading import CLASSIFIER, digit_features, frozen, read_digits, train_reader

Array = npt.NDArray[np.generic]

NEIGHBORS = 5
"""Neighbours whose distance makes the balls of precision, recall, density and coverage."""

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000

NEAR_DUPLICATE = 0.001
"""A generated digit is a near-duplicate when it is nearer to a training digit than this quantile of test digits is."""


class _Given(nn.Module):
    """Lets torchmetrics take features as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


_SYNC = False
"""Processes that work together measure different sets: torchmetrics would put them into one."""


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of two sets of features (n, width), each taken as a Normal (Heusel et al., 2017)."""
    metric = FrechetInceptionDistance(_Given(real.shape[1]), sync_on_compute=_SYNC).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    return float(metric.compute())


def kernel_distance(real: Tensor, generated: Tensor, seed: int = 0) -> tuple[float, float]:
    """Squared maximum mean discrepancy with a cubic kernel (Binkowski et al., 2018): mean and spread over subsets.

    A subset is at most half of either set, so that subsets differ.
    """
    size = min(KID_SUBSET_SIZE, len(real) // 2, len(generated) // 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save")
        metric = KernelInceptionDistance(
            _Given(real.shape[1]), subsets=KID_SUBSETS, subset_size=size, sync_on_compute=_SYNC
        )
    metric.update(real, real=True)
    metric.update(generated, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, spread = metric.compute()
    return float(mean), float(spread)


@dataclass(frozen=True)
class Overlap:
    """How two sets of points overlap, each from 0 to 1 but for the density, which can be higher.

    Attributes:
        precision: Share of generated points within the ball of some real point; a ball reaches to the point's
            `NEIGHBORS`-th neighbour in its own set (Kynkäänniemi et al., 2019).
        recall: Share of real points within the ball of some generated point.
        density: Mean number of real balls around a generated point, over `NEIGHBORS` (Naeem et al., 2020).
        coverage: Share of real points whose ball holds a generated point.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(real: Tensor, generated: Tensor, k: int = NEIGHBORS) -> Overlap:
    """Precision, recall, density and coverage of points (n, width) and (m, width).

    Raises:
        InputError: If a set has not more than `k` points.
    """
    if min(len(real), len(generated)) <= k:
        raise InputError(f"Neighbourhoods need more than {k} points in each set.")
    real_radius, generated_radius = _radius(real, k), _radius(generated, k)
    inside, covering, covered = 0, 0.0, torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for part, radius in zip(torch.split(generated, 1000), torch.split(generated_radius, 1000), strict=True):
        distance = torch.cdist(real, part)
        within = distance <= real_radius[:, None]
        inside += int(within.any(0).sum())
        covering += float(within.sum())
        covered |= within.any(1)
        recalled |= (distance <= radius).any(1)
    n = len(generated)
    return Overlap(inside / n, float(recalled.float().mean()), covering / (k * n), float(covered.float().mean()))


def _radius(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its `k`-th neighbour among the others."""
    parts = [torch.cdist(part, points).kthvalue(k + 1, dim=1).values for part in torch.split(points, 1000)]
    return torch.cat(parts)


@dataclass(frozen=True, eq=False)
class CopyAudit:
    """Whether generated digits are copies of training digits.

    Attributes:
        train_share: Share of generated digits whose nearest neighbour, among as many training as other real digits,
            is a training digit: about one half where nothing is copied.
        error: Half the 95 % interval of that share.
        duplicates: Share of generated digits nearer to a training digit than `limit`.
        limit: That distance: the quantile `NEAR_DUPLICATE` of the real digits that were not trained on.
        worst: Positions of the generated digits nearest to a training digit, nearest first, shape (up to 10,).
        matches: Positions of those training digits, of the same shape.
    """

    train_share: float
    error: float
    duplicates: float
    limit: float
    worst: Array
    matches: Array


def near_limit(train: Tensor, other: Tensor) -> float:
    """The distance below which a point counts as a near-duplicate of one of `train`; few of `other` are so near."""
    return float(torch.quantile(_nearest(other, train)[0], NEAR_DUPLICATE))


def copy_audit(generated: Tensor, train: Tensor, other: Tensor, limit: float | None = None) -> CopyAudit:
    """Hold generated digits against training digits and other real digits, as points (n, width).

    The share is taken among the first training digits, as many as there are others; near-duplicates are looked for
    among all training digits, by the `near_limit` of the two where no limit is given.

    Raises:
        InputError: If there are fewer training digits than other real digits.
    """
    if len(train) < len(other):
        raise InputError(f"The copy audit needs as many training digits as other digits, {len(other):,} or more.")
    to_train, match = _nearest(generated, train)
    limit = near_limit(train, other) if limit is None else limit
    share = train_share(generated, train, other)
    error = 1.96 * math.sqrt(share * (1 - share) / len(generated))
    worst = to_train.argsort()[:10]
    duplicates = float((to_train < limit).double().mean())
    return CopyAudit(share, error, duplicates, limit, worst.numpy(), match[worst].numpy())


def train_share(generated: Tensor, train: Tensor, other: Tensor) -> float:
    """Share of generated digits whose nearest, of as many training digits as others, is a training digit."""
    to_train, _ = _nearest(generated, train[: len(other)])
    to_other, _ = _nearest(generated, other)
    # Of equally near ones half count as training digits.
    return float(((to_train < to_other).double() + 0.5 * (to_train == to_other).double()).mean())


def _nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each point to the nearest of the others, and which that is."""
    found = [torch.cdist(part, others).min(1) for part in torch.split(points, 1000)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def audit_spaces() -> dict[str, Callable[[Array], Tensor]]:
    """Where the copy audit looks for the nearest digit: images to points, by name."""
    reader, _ = frozen("reader")
    return {"pixels": pixels, "reader features": lambda images: digit_features(reader, images)}


def pixels(images: Tensor | Array) -> Tensor:
    """Images as points: float32 in [0, 1], shape (n, 784)."""
    return unit_range(as_images(images)).flatten(1)


@dataclass(frozen=True, eq=False)
class RealDigits:
    """Real digits that sets of generated ones are held against; what is computed of them alone is computed once.

    Attributes:
        known: Digits that whatever generates may have seen.
        judged: Digits that it has not seen.
    """

    known: Digits
    judged: Digits

    @functools.cached_property
    def features(self) -> Tensor:
        """The judged digits on the network that FID-digit is measured on."""
        return digit_features(frozen("features")[0], self.judged.images)

    def points(self, space: str) -> tuple[Tensor, Tensor]:
        """Known and judged digits in one of the `audit_spaces`."""
        if space == "pixels":  # a moment's work, and 190 MB of 60,000 digits
            return pixels(self.known.images), pixels(self.judged.images)
        return self._read

    @functools.cached_property
    def _read(self) -> tuple[Tensor, Tensor]:
        as_points = audit_spaces()["reader features"]
        return as_points(self.known.images), as_points(self.judged.images)

    @functools.cached_property
    def limits(self) -> dict[str, float]:
        """The `near_limit` of each space."""
        return {space: near_limit(*self.points(space)) for space in audit_spaces()}


def sample_measures(images: Array, real: RealDigits) -> list[Measure]:
    """All measures of a set of images, but for the classification accuracy score.

    Args:
        images: Generated digits, uint8, shape (n, 28, 28).
        real: What they are held against.

    Raises:
        InputError: If there are fewer known digits than judged ones, or too few of anything.
    """
    n, judged = len(images), len(real.judged)
    if len(real.known) < judged:
        raise InputError(f"The copy audit needs as many training digits as other digits, {judged:,} or more.")
    features, real_features = digit_features(frozen("features")[0], images), real.features
    mean, spread = kernel_distance(real_features, features)
    found = overlap(real_features, features)
    common: dict[str, object] = {"real": judged, "features": network_sha256("features")}
    balls = common | {"neighbours": NEIGHBORS}
    measures = [
        Measure("FID-digit", frechet_distance(real_features, features), "", _FID, n, settings=common),
        Measure("KID-digit", mean, "", _KID, n, spread, f"{KID_SUBSETS} subsets", common | {"seed": 0}),
        Measure("precision", found.precision, "share", _PRECISION, n, settings=balls),
        Measure("recall", found.recall, "share", _RECALL, n, settings=balls),
        Measure("density", found.density, "", _DENSITY, n, settings=balls),
        Measure("coverage", found.coverage, "share", _COVERAGE, n, settings=balls),
    ]
    reader, _ = frozen("reader")
    read_by = {"reader": network_sha256("reader")}
    counts = np.bincount(read_digits(reader, images).argmax(1).numpy(), minlength=10).tolist()
    about = {"counts": counts, **read_by}
    measures.append(Measure("rarest class", min(counts) / n, "share", _RAREST, n, settings=about))
    for where, as_points in audit_spaces().items():
        audit = copy_audit(as_points(images), *real.points(where), real.limits[where])
        space: dict[str, object] = {} if where == "pixels" else {**read_by}
        pairs = {"worst": audit.worst.tolist(), "worst_matches": audit.matches.tolist()}
        nearest = space | pairs | {"error": audit.error, "training digits": judged}
        measures.append(
            Measure(f"nearest is trained on ({where})", audit.train_share, "share", _NEAREST, n, settings=nearest)
        )
        limit = space | {"limit": audit.limit, "training digits": len(real.known)}
        measures.append(
            Measure(f"near-duplicates ({where})", audit.duplicates, "share", _DUPLICATES, n, settings=limit)
        )
    return measures


_FID = "Frechet distance to real digits on 96 features of our own digit network; not comparable with Inception FID."
_KID = "Squared maximum mean discrepancy to real digits, cubic kernel, on the same features; spread over subsets."
_PRECISION = "Share of generated digits within the neighbourhood of a real one, on the same features."
_RECALL = "Share of real digits within the neighbourhood of a generated one, on the same features."
_DENSITY = "Mean number of real neighbourhoods around a generated digit, over the number of neighbours."
_COVERAGE = "Share of real digits whose neighbourhood holds a generated one, on the same features."
_RAREST = "Share of generated digits in the class that a frozen reader finds least often; `counts` has all ten."
_NEAREST = (
    "Share of generated digits whose nearest digit, among as many training digits as digits not trained on, is a "
    "training digit: about one half without copying. `error` is half the 95 % interval."
)
_DUPLICATES = (
    f"Share of generated digits nearer to one of all training digits than all but {NEAR_DUPLICATE:.1%} of the digits "
    "not trained on are."
)


def classification_accuracy(
    images: Array,
    labels: Array,
    test_images: Array,
    test_labels: Array,
    seeds: int = 3,
    first_seed: int = 0,
    notify: Callable[[str], None] = lambda text: None,
) -> Measure:
    """Classification accuracy score (Ravuri and Vinyals, 2019): real digits read by a classifier of generated ones.

    The classifier is `digitvae.reading.CLASSIFIER`, trained on the generated digits alone, once for each seed.
    """
    shares = []
    for seed in range(first_seed, first_seed + seeds):
        notify(f"classifier {seed - first_seed + 1} of {seeds}")
        classifier = train_reader(images, labels, CLASSIFIER, seed)
        read = read_digits(classifier, test_images).argmax(1).numpy()
        shares.append(float(np.mean(read == test_labels)))
    definition = "Share of real digits that a fixed classifier, trained on generated digits alone, reads."
    return Measure.repeated(
        "classification accuracy score",
        shares,
        "seeds",
        "share",
        definition,
        len(test_images),
        trained_on=len(images),
        seeds=list(range(first_seed, first_seed + seeds)),
    )
