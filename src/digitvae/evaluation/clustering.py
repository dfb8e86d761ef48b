"""How well the classes fall apart in latent space: clusterings held against labels, and votes of neighbours.

Labels are never shown to the clusterings. All arrays are NumPy; codes are usually the means of posteriors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.metrics.cluster import contingency_matrix
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from digitvae.errors import InputError
from digitvae.evaluation.measures import Measure

CLUSTERS = 10
"""Clusters that both methods look for."""

NEIGHBORS = 10
"""Neighbours that vote."""

HDBSCAN_SHARE = 0.01
"""Size of the smallest cluster that HDBSCAN looks for, as a share of the codes."""

NOISE = -1
"""The cluster of codes that are in none."""

SILHOUETTE_SAMPLE = 2000
"""Codes that the silhouette is estimated from, at most: it needs all distances between them."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Clustering:
    """One clustering, held against the labels.

    Attributes:
        accuracy: Share of codes whose cluster belongs to their class, under the best one-to-one matching of
            clusters and classes (see `hungarian_accuracy`), from 0 to 1.
        nmi: Normalised mutual information of clusters and labels (mutual information over the arithmetic mean of the
            two entropies), from 0 to 1.
        ari: Adjusted Rand index (Hubert and Arabie, 1985): 0 is chance, 1 is the same partition.
        ami: Mutual information adjusted for chance (Vinh et al., 2010), as NMI otherwise: 0 is chance.
        silhouette: Mean silhouette of the clusters, labels aside (Rousseeuw, 1987), from -1 to 1, over at most
            `SILHOUETTE_SAMPLE` codes drawn with the seed; NaN where these lie in one cluster.
        converged: Whether the fit ended by its own tolerance rather than at its last iteration.
        clusters: Cluster of each code, whole numbers from 0, `NOISE` for those in none, shape (n,).
        centers: Middles of the clusters, shape (clusters, latent).
    """

    accuracy: float
    nmi: float
    ari: float
    ami: float
    silhouette: float
    converged: bool
    clusters: Array = field(compare=False, repr=False)
    centers: Array = field(compare=False, repr=False)


@dataclass(frozen=True)
class ClusterScores:
    """How well classes fall apart in latent space.

    Attributes:
        n: Codes judged.
        k_means: k-means with `CLUSTERS` clusters, the best of ten starts (k-means++).
        gaussian_mixture: Mixture of `CLUSTERS` Gaussians with full covariances, the best of three starts (from
            k-means); each code goes to its likeliest component.
        neighbor_accuracy: Share of codes whose class is the most frequent among their `NEIGHBORS` nearest
            neighbours, from 0 to 1.
        neighbor_reference: Where the neighbours come from: ``train``, the training codes that were given, or
            ``leave-one-out``, the other judged codes.
        seed: Seed of the starts and of the silhouette's sample.
    """

    n: int
    k_means: Clustering
    gaussian_mixture: Clustering
    neighbor_accuracy: float
    neighbor_reference: Literal["train", "leave-one-out"]
    seed: int


def cluster_scores(
    codes: Array,
    labels: Array,
    train_codes: Array | None = None,
    train_labels: Array | None = None,
    seed: int = 0,
) -> ClusterScores:
    """Cluster codes without their labels and say how well the clusters, and the neighbours, agree with these.

    Args:
        codes: Shape (n, latent), n above `NEIGHBORS`, with at least `CLUSTERS` different codes.
        labels: Classes, whole numbers, shape (n,).
        train_codes: Codes whose labels vote, shape (m, latent); the other judged codes vote where left out.
        train_labels: Their classes, shape (m,).
        seed: Seed of the starts and of the silhouette's sample.

    Raises:
        InputError: If an array has another shape, a code is not finite, there are too few, or one of `train_codes`
            and `train_labels` is missing.
    """
    codes, labels = _checked(codes, labels)
    if len(codes) <= NEIGHBORS or len(np.unique(codes, axis=0)) < CLUSTERS:
        raise InputError(f"Clustering needs more than {NEIGHBORS} codes, and {CLUSTERS} different ones.")
    if (train_codes is None) != (train_labels is None):
        raise InputError("Training codes and training labels go together; give both or neither.")
    k_means = KMeans(CLUSTERS, n_init=10, random_state=seed)
    mixture = GaussianMixture(CLUSTERS, covariance_type="full", n_init=3, tol=1e-4, max_iter=500, random_state=seed)
    # One thread: with so few dimensions more of them only wait for each other, many times longer on a busy machine.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` tells it
        k_means.fit(codes)
        components = mixture.fit_predict(codes)
    if train_codes is None or train_labels is None:
        near = NearestNeighbors(n_neighbors=NEIGHBORS).fit(codes).kneighbors(return_distance=False)
        votes = _vote(labels[near])
    else:
        votes = neighbor_vote(train_codes, train_labels, codes)
    return ClusterScores(
        n=len(codes),
        k_means=_judge(
            codes, labels, k_means.labels_, k_means.cluster_centers_, k_means.n_iter_ < k_means.max_iter, seed
        ),
        gaussian_mixture=_judge(codes, labels, components, mixture.means_, mixture.converged_, seed),
        neighbor_accuracy=float(np.mean(votes == labels)),
        neighbor_reference="leave-one-out" if train_codes is None else "train",
        seed=seed,
    )


def dense_clusters(codes: Array, labels: Array, seed: int = 0) -> Clustering:
    """Dense regions of any number and form (HDBSCAN, Campello et al., 2013); `HDBSCAN_SHARE` says the smallest size.

    Codes in none are noise: wrong in the accuracy, one more cluster in NMI, ARI and AMI, left out of the silhouette.

    Args:
        codes: Shape (n, latent).
        labels: Classes, whole numbers, shape (n,).
        seed: Seed of the silhouette's sample; the method itself has no randomness.

    Raises:
        InputError: If an array has another shape, or a code is not finite.
    """
    codes, labels = _checked(codes, labels)
    smallest = max(2, round(HDBSCAN_SHARE * len(codes)))
    found = HDBSCAN(min_cluster_size=smallest, store_centers="centroid", copy=True).fit(codes)
    return _judge(codes, labels, found.labels_, found.centroids_, True, seed)


def hungarian_accuracy(labels: Array, clusters: Array) -> float:
    """Share of items in the cluster that is matched to their class, from 0 to 1.

    Clusters and classes are matched one to one so that this share is largest (the assignment problem, Kuhn, 1955).
    Their numbers may differ: what is left without a partner counts as wrong, and so does `NOISE`.

    Args:
        labels: Class of each item, whole numbers, shape (n,).
        clusters: Cluster of each item, whole numbers, shape (n,); the names of clusters do not matter.

    Raises:
        InputError: If the shapes differ or there are no items.

    >>> hungarian_accuracy(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 7]))
    0.75
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    if labels.ndim != 1 or labels.shape != clusters.shape or labels.size == 0:
        raise InputError(f"Labels and clusters need one shape (n,), not {labels.shape} and {clusters.shape}.")
    found = clusters != NOISE
    if not found.any():
        return 0.0
    counts = contingency_matrix(labels[found], clusters[found])
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return float(matched / len(labels))


def neighbor_vote(reference_codes: Array, reference_labels: Array, codes: Array, k: int = NEIGHBORS) -> Array:
    """The most frequent class among the `k` nearest reference codes (Euclidean) of each code.

    Where classes are equally frequent the smallest wins.

    Args:
        reference_codes: Shape (m, latent).
        reference_labels: Their classes, whole numbers, shape (m,).
        codes: Shape (..., latent).
        k: Neighbours that vote.

    Returns:
        Classes, of the type of `reference_labels`, shape (...).

    Raises:
        InputError: If shapes do not fit, a code is not finite, or there are fewer than `k` reference codes.
    """
    reference_codes, reference_labels = _checked(reference_codes, reference_labels)
    codes = np.asarray(codes, dtype=np.float64)
    if codes.shape[-1:] != reference_codes.shape[1:] or not np.isfinite(codes).all():
        raise InputError(f"Codes need to be finite, of shape (..., {reference_codes.shape[1]}), not {codes.shape}.")
    if not 1 <= k <= len(reference_codes):
        raise InputError(f"There are {len(reference_codes)} reference codes, so k cannot be {k}.")
    flat = codes.reshape(-1, codes.shape[-1])
    near = NearestNeighbors(n_neighbors=k).fit(reference_codes).kneighbors(flat, return_distance=False)
    return _vote(reference_labels[near]).reshape(codes.shape[:-1])


def _vote(labels: Array) -> Array:
    """The most frequent, and of equals the smallest, in each row, shape (n,)."""
    classes = np.unique(labels)
    counts = np.stack([np.count_nonzero(labels == each, axis=1) for each in classes], axis=1)
    winners: Array = classes[counts.argmax(1)]
    return winners


def _judge(codes: Array, labels: Array, clusters: Array, centers: Array, converged: bool, seed: int) -> Clustering:
    few = np.random.default_rng(seed).permutation(np.flatnonzero(clusters != NOISE))[:SILHOUETTE_SAMPLE]
    found = len(np.unique(clusters[few]))
    return Clustering(
        accuracy=hungarian_accuracy(labels, clusters),
        nmi=float(normalized_mutual_info_score(labels, clusters)),
        ari=float(adjusted_rand_score(labels, clusters)),
        ami=float(adjusted_mutual_info_score(labels, clusters)),
        silhouette=float(silhouette_score(codes[few], clusters[few])) if 1 < found < len(few) else float("nan"),
        converged=bool(converged),
        clusters=clusters,
        centers=centers,
    )


def _checked(codes: Array, labels: Array) -> tuple[Array, Array]:
    codes, labels = np.asarray(codes, dtype=np.float64), np.asarray(labels)
    if codes.ndim != 2 or labels.shape != codes.shape[:1]:
        raise InputError(f"Codes need shape (n, latent) and labels (n,), not {codes.shape} and {labels.shape}.")
    if not np.isfinite(codes).all():
        raise InputError("A code is not finite; the model that made it is damaged.")
    return codes, labels


def cluster_measures(
    codes: Array,
    labels: Array,
    train_codes: Array,
    train_labels: Array,
    seeds: int = 5,
    metric: str = "Euclidean",
) -> list[Measure]:
    """The scores of `cluster_scores` over several seeds, and of `dense_clusters`, for tables.

    Arguments as there; `seeds` starts of the methods are made, with the seeds 0, 1, ...; `metric` says in words what
    the distance of two codes is, for the settings.

    Raises:
        InputError: As `cluster_scores`.
    """
    scores = [cluster_scores(codes, labels, train_codes, train_labels, seed) for seed in range(seeds)]
    methods = {
        "k-means": [each.k_means for each in scores],
        "Gaussian mixture": [each.gaussian_mixture for each in scores],
        "HDBSCAN": [dense_clusters(codes, labels)],
    }
    n = len(codes)
    measures = []
    for method, found in methods.items():
        settings: dict[str, Any] = {"clusters": sorted({len(each.centers) for each in found})}
        settings |= {"seeds": list(range(len(found))), "metric": metric}
        for score, (name, definition) in _SCORES.items():
            values = [getattr(each, score) for each in found]
            measures.append(Measure.repeated(f"{method}: {name}", values, "seeds", "", definition, n, **settings))
    votes = Measure(
        f"{NEIGHBORS}-neighbour accuracy",
        scores[0].neighbor_accuracy,
        "share",
        f"Share of codes whose class most of their {NEIGHBORS} nearest training codes have.",
        n,
        settings={"training codes": len(train_codes), "metric": metric},
    )
    return [votes, *measures]


_SCORES = {
    "accuracy": ("accuracy", "Share of codes in the cluster matched to their class, one to one; noise is wrong."),
    "nmi": ("NMI", "Normalised mutual information of clusters and classes; noise is one more cluster."),
    "ari": ("ARI", "Adjusted Rand index of clusters and classes: 0 is chance; noise is one more cluster."),
    "ami": ("AMI", "Adjusted mutual information of clusters and classes: 0 is chance; noise is one more cluster."),
    "silhouette": ("silhouette", "How separate the clusters are, labels aside, from -1 to 1; without noise."),
}
