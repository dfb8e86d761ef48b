"""How probable real digits are under a model: ELBO, importance-weighted bound, and log p(x) by quadrature.

Everything is per image, in nats, computed in float32. Grey digits are binarised with fixed seeds first, unless
`binarization` is ``none``: with a Bernoulli likelihood each number is then minus a cross-entropy, and no logarithm of a
probability. ELBO, rate and distortion are the means over all binarisations of what they would be; what is integrated
over codes lies below that mean, as the logarithm of an integral is concave (Jensen).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.config import Binarization
from digitvae.config.rules import QUADRATURE_DIMENSIONS
from digitvae.distributions import BernoulliLikelihood, DiagonalNormal
from digitvae.errors import InputError
from digitvae.evaluation.measures import Measure
from digitvae.images import as_images, unit_range
from digitvae.lattice import fibonacci_numbers, lattice
from digitvae.models.vae import VAE
from digitvae.objective import elbo_terms, iw_bound, log_prob_quadrature, pooled

SIZES = tuple(n for n in fibonacci_numbers(200_000) if n > 28_000)
"""Lattice sizes, from the first that is tried to the largest: 28,657 to 196,418 in the plane."""

CONVERGED = 0.05
"""Nats by which the estimate may change from one size to the next, to be called converged."""

ACTIVE = 0.01
"""Variance of a posterior mean over the digits above which its dimension is called active (Burda et al., 2016)."""

PART = 500
"""Images that the networks see at a time."""


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes:
        binarizations: Fixed binarisations of the digits, with the seeds 0, 1, ...
        shifts: Random shifts of the lattice for each.
        k: Codes for each image in the importance-weighted bound.
        classifiers: Whether classifiers are trained on generated digits (see `digitvae.evaluation.suite`).
    """

    binarizations: int = 5
    shifts: int = 4
    k: int = 500
    classifiers: bool = True

    @classmethod
    def quick(cls) -> Effort:
        """What takes about a minute for 10,000 digits on two cores."""
        return cls(binarizations=1, shifts=2, k=50, classifiers=False)


def binarize(images: Tensor | np.ndarray, seed: int) -> Tensor:
    """Each pixel 0 or 1, drawn with its grey value as the probability; float32, shape (n, 1, 28, 28)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.bernoulli(unit_range(as_images(images)), generator=generator)


def prepared(images: Tensor | np.ndarray, binarization: Binarization) -> Tensor:
    """Images (as in `density_measures`) as densities take them: grey, or binarised with the seed 0; float32."""
    return unit_range(as_images(images)) if binarization == "none" else binarize(images, 0)


def is_cross_entropy(model: VAE, binarization: Binarization) -> bool:
    """Whether densities are minus cross-entropies: those of grey pixels under a likelihood of zeros and ones."""
    return binarization == "none" and isinstance(model.likelihood, BernoulliLikelihood)


def density_measures(
    model: VAE,
    images: Tensor | np.ndarray,
    binarization: Binarization,
    effort: Effort,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Measure]:
    """All measures of density for the digits given.

    Args:
        model: The VAE, in float32; where it is conditioned on labels, given those of the images: log p(x) is then
            log p(x given its label).
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 or floating point in [0, 1].
        binarization: ``dynamic`` (the mean over `effort.binarizations` fixed draws), ``static`` (the first of these
            draws alone) or ``none`` (grey pixels).
        effort: How much is computed.
        notify: Told what is computed next.

    Raises:
        InputError: If the images have another shape, type or range.
    """
    draws = effort.binarizations if binarization == "dynamic" else 1
    grey = binarization == "none"
    batches = [unit_range(as_images(images)) if grey else binarize(images, seed) for seed in range(draws)]
    n = len(batches[0])
    common = {"binarization": binarization, "seeds": [] if grey else list(range(draws))}
    cross_entropy = is_cross_entropy(model, binarization)
    what, definitions = " (cross-entropy)" if cross_entropy else "", _definitions(cross_entropy)
    measures = []

    def add(name: str, values: list[float], title: str = "", /, **settings: object) -> None:
        about = common | settings
        title = (title or name) + what
        measures.append(Measure.repeated(title, values, "binarisations", "nats", definitions[name], n, **about))

    notify("posteriors and ELBO")
    posteriors = [encode(model, x) for x in batches]
    terms = [
        _mean_terms(model, x, posterior, seed)
        for seed, (x, posterior) in enumerate(zip(batches, posteriors, strict=True))
    ]
    for place, name in enumerate(("elbo", "rate", "distortion")):
        add(name, [each[place] for each in terms])
    notify(f"importance-weighted bound, k = {effort.k}")
    bounds = [
        importance_weighted(model, x, effort.k, seed, posterior)
        for seed, (x, posterior) in enumerate(zip(batches, posteriors, strict=True))
    ]
    add("iw_bound", [float(b.double().mean()) for b in bounds], f"iw_bound({effort.k})", k=effort.k)
    if _integrable(model):
        notify("quadrature")
        q = quadrature(model, torch.cat(batches), effort.shifts, notify)
        values = [float(part.double().mean()) for part in torch.split(q.log_prob, n)]
        settings = {"points": q.size, "shifts": effort.shifts, "spread_over_shifts": q.spread, "change": q.change}
        add("log_prob_quadrature", values, **settings)
        fixed = [float(part.double().mean()) for part in torch.split(q.mixture, n)]
        add("mixture of fixed points", fixed, points=q.size)
        add("variational gap", [value - each[0] for value, each in zip(values, terms, strict=True)], points=q.size)
    posterior = posteriors[0]
    active = int((posterior.loc.var(0) > ACTIVE).sum())
    measures.append(Measure("active units", active, "", _ACTIVE, n, settings={"of": model.latent_dim}))
    if not model.classes:  # else the prior is another one for each class
        measures.append(Measure("aggregate posterior to prior", _aggregate(model, posterior), "nats", _AGGREGATE, n))
    return measures


def _definitions(cross_entropy: bool) -> dict[str, str]:
    """What each density is; with grey pixels and a likelihood of zeros and ones none is a log p(x)."""
    log_p, likelihood, fit = "log p(x)", "likelihood", "Minus the expected log-likelihood"
    if cross_entropy:
        log_p, likelihood, fit = "minus the cross-entropy", "exp(-cross-entropy)", "Expected cross-entropy"
    return {
        "elbo": f"Minus rate and distortion: a lower bound on {log_p}; one code for each image.",
        "rate": "KL divergence of the approximate posterior to the prior.",
        "distortion": f"{fit} under the approximate posterior, summed over the pixels.",
        "iw_bound": f"Importance-weighted lower bound on {log_p} with k codes for each image (Burda et al., 2016).",
        "log_prob_quadrature": f"Log of the mean {likelihood} over a lattice in latent space, all random shifts "
        f"together; in expectation a lower bound on {log_p}. `change` is the difference to the lattice size before.",
        "mixture of fixed points": f"Log of the mean {likelihood} over the points of the first shift alone: exact for "
        "the decoder read as a mixture of them.",
        "variational gap": "log_prob_quadrature less elbo: what the approximate posteriors lose, their mean KL "
        "divergence to the exact ones.",
    }


_ACTIVE = f"Latent dimensions whose posterior mean varies by more than {ACTIVE} (variance) over the digits."
_AGGREGATE = "KL divergence of the mean of all approximate posteriors to the prior, one code for each image."


@dataclass(frozen=True, eq=False)
class Quadrature:
    """log p(x) by quadrature on the lattice at which it was found to be converged, or the largest.

    Attributes:
        log_prob: All shifts pooled, shape (n,).
        mixture: The first shift alone, shape (n,).
        size: Points of the lattice.
        spread: Standard deviation over the shifts of the mean over the images, nats.
        change: Mean over the images of the pooled estimate minus that on the lattice before, nats.
    """

    log_prob: Tensor
    mixture: Tensor
    size: int
    spread: float
    change: float


def quadrature(
    model: VAE,
    x: Tensor,
    shifts: int,
    notify: Callable[[str], None] = lambda text: None,
    seed: int = 0,
) -> Quadrature:
    """log p(x) on lattices of growing size until the mean changes by less than `CONVERGED`, or sizes end.

    Args:
        model: The VAE, with 1 to 3 latent dimensions.
        x: Images, float32 in [0, 1], shape (n, 1, 28, 28).
        shifts: Random shifts, drawn anew for each size; 2 or more.
        notify: Told what is computed next.
        seed: Seed of the shifts.

    Raises:
        InputError: If the model has more than three latent dimensions, or there are fewer than two shifts.
    """
    if shifts < 2:
        raise InputError("The spread over shifts needs at least two of them.")
    generator = torch.Generator().manual_seed(seed)
    before, change, estimates, size = math.nan, math.nan, torch.empty(0), 0
    for size in SIZES:
        notify(f"quadrature, lattice of {size:,} points")
        estimates = log_prob_quadrature(model, x, size, torch.rand(shifts, model.latent_dim, generator=generator))
        mean = float(pooled(estimates).double().mean())
        change, before = mean - before, mean
        if abs(change) < CONVERGED:
            break
    each = estimates.double().mean(1)
    return Quadrature(pooled(estimates), estimates[0], size, float(each.std()), change)


def variational_gap(model: VAE, x: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The ELBO of each image (one code), and log p(x) by quadrature: their mean difference is the variational gap.

    It is what the Normal posteriors miss of log p(x): their mean KL divergence to the exact posteriors (Kingma and
    Welling, 2014, equation 1).

    Args:
        model: The VAE, with 1 to 3 latent dimensions.
        x: Images, float32 in [0, 1], shape (n, 1, 28, 28).
        seed: Seed of codes and shift.

    Returns:
        Two tensors of shape (n,), nats.

    Raises:
        InputError: If the model has more than three latent dimensions.
    """
    log_prob = log_prob_quadrature(model, x, SIZES[1], _shift(model, seed))[0]
    rate, distortion = _terms(model, x, encode(model, x), seed)
    return -(rate + distortion), log_prob


def log_likelihood(model: VAE, x: Tensor, seed: int = 0) -> tuple[Tensor, str]:
    """The best estimate of log p(x) that a few seconds allow, and what it is called.

    Quadrature with one shift up to three latent dimensions, else the importance-weighted bound.

    Args:
        model: The VAE.
        x: Images, float32 in [0, 1], shape (n, 1, 28, 28).
        seed: Seed of the shift or of the codes.

    Returns:
        Shape (n,), and ``log_prob_quadrature`` or ``iw_bound(k)``.
    """
    if _integrable(model):
        return log_prob_quadrature(model, x, SIZES[0], _shift(model, seed))[0], "log_prob_quadrature"
    return importance_weighted(model, x, Effort.quick().k, seed), f"iw_bound({Effort.quick().k})"


class KeptLattice:
    """`log_likelihood` for images that come one at a time: the lattice is decoded once and kept (90 MB).

    Args:
        model: The VAE, with `log_likelihood` by quadrature and pixels that are ink or paper; others are computed anew
            each time.
        seed: As in `log_likelihood`.
    """

    def __init__(self, model: VAE, seed: int = 0) -> None:
        self._model, self._seed = model, seed
        self._points: tuple[Tensor, Tensor] | None = None
        if not _integrable(model) or not isinstance(model.likelihood, BernoulliLikelihood):
            return
        with torch.no_grad():
            z, log_weight = model.prior.at_quantiles(lattice(SIZES[0], model.latent_dim, _shift(model, seed)[0]))
            if len(z) > SIZES[0]:  # each component of a mixture has all the points
                return
            logits = torch.cat([model.decode(part).logits.flatten(1) for part in torch.split(z, PART)])
            blank = log_weight - torch.nn.functional.softplus(logits).sum(1)
            self._points = logits, blank

    def log_likelihood(self, x: Tensor) -> tuple[Tensor, str]:
        """log p(x) of images, float32 in [0, 1], shape (n, 1, 28, 28), and what it is called; shape (n,)."""
        if self._points is None:
            return log_likelihood(self._model, x, self._seed)
        logits, blank = self._points
        return (x.flatten(1) @ logits.T + blank).logsumexp(1), "log_prob_quadrature"


def outlier_measures(model: VAE, images: Tensor | np.ndarray, binarization: Binarization) -> list[Measure]:
    """How well log p(x) tells real digits from the same digits flipped or turned upside down: AUROC.

    Arguments as in `density_measures`.
    """
    from sklearn.metrics import roc_auc_score  # slow to import, and few that score images need it

    images = as_images(images)
    changed = {
        "flipped": (images.flip(-1), "mirrored, left to right"),
        "upside-down": (images.flip(-1, -2), "turned by half"),
    }
    scores, estimator = log_likelihood(model, prepared(images, binarization))
    what = "minus the cross-entropy" if is_cross_entropy(model, binarization) else "log p(x)"
    settings: dict[str, object] = {"binarization": binarization, "estimator": estimator, "seed": 0}
    if _integrable(model):
        settings["points"] = SIZES[0]
    measures = []
    for name, (others, how) in changed.items():
        other_scores, _ = log_likelihood(model, prepared(others, binarization))
        truth = np.repeat([1, 0], len(images))
        area = float(roc_auc_score(truth, torch.cat([scores, other_scores]).numpy()))
        definition = f"Area under the ROC curve of {what} ({estimator}): digits against the same {how}; .5 is chance."
        measures.append(Measure(f"AUROC against {name} digits", area, "", definition, len(images), settings=settings))
    return measures


def encode(model: VAE, x: Tensor) -> DiagonalNormal:
    """Posteriors of many images, float32 in [0, 1], shape (n, 1, 28, 28); a part at a time."""
    with torch.inference_mode():
        parts = [model.part(place).encode(x[place]) for place in _places(len(x))]
    return DiagonalNormal(torch.cat([p.loc for p in parts]), torch.cat([p.log_var for p in parts]))


def importance_weighted(model: VAE, x: Tensor, k: int, seed: int, posterior: DiagonalNormal | None = None) -> Tensor:
    """`digitvae.objective.iw_bound` of many images, a part at a time, shape (n,)."""
    generator = torch.Generator().manual_seed(seed)
    parts = _parts(model, x, posterior or encode(model, x))
    return torch.cat([iw_bound(given, part, k, generator, posterior=its) for given, part, its in parts])


def _places(n: int) -> list[slice]:
    return [slice(start, start + PART) for start in range(0, n, PART)]


def _parts(model: VAE, x: Tensor, posterior: DiagonalNormal) -> Iterator[tuple[VAE, Tensor, DiagonalNormal]]:
    for place in _places(len(x)):
        yield model.part(place), x[place], DiagonalNormal(posterior.loc[place], posterior.log_var[place])


def _terms(model: VAE, x: Tensor, posterior: DiagonalNormal, seed: int) -> tuple[Tensor, Tensor]:
    """Rate and distortion of each image, one code each, shape (n,)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        terms = [
            elbo_terms(given, part, torch.randn(len(part), model.latent_dim, generator=generator), its)
            for given, part, its in _parts(model, x, posterior)
        ]
    return torch.cat([t.rate for t in terms]), torch.cat([t.distortion for t in terms])


def _mean_terms(model: VAE, x: Tensor, posterior: DiagonalNormal, seed: int) -> tuple[float, float, float]:
    """ELBO, rate and distortion."""
    rate, distortion = (float(values.double().mean()) for values in _terms(model, x, posterior, seed))
    return -(rate + distortion), rate, distortion


def _integrable(model: VAE) -> bool:
    return model.latent_dim <= QUADRATURE_DIMENSIONS and not model.classes


def _shift(model: VAE, seed: int) -> Tensor:
    return torch.rand(1, model.latent_dim, generator=torch.Generator().manual_seed(seed))


def _aggregate(model: VAE, posterior: DiagonalNormal, seed: int = 0) -> float:
    """KL divergence of the mean of the posteriors to the prior, with a code for each image."""
    with torch.inference_mode():
        codes = posterior.sample(torch.Generator().manual_seed(seed))
        total = 0.0
        # All codes are held against all posteriors, dimension by dimension.
        for z in torch.split(codes, min(PART, max(1, 8 * PART // model.latent_dim))):
            log_density = torch.logsumexp(posterior.log_prob(z[:, None]), 1) - math.log(len(codes))
            total += float((log_density - model.prior.log_prob(z)).double().sum())
    return total / len(codes)
