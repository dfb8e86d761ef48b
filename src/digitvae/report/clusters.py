"""The section on clusters: how far the digits fall apart without their labels, snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix

from digitvae.errors import InputError
from digitvae.evaluation.clustering import CLUSTERS, NEIGHBORS, ClusterScores, cluster_scores
from digitvae.figures import draw_classes, draw_clusters
from digitvae.report.coded import Array, Coded, plane
from digitvae.report.parts import Picture, Table, number, percent, picture


@dataclass(frozen=True)
class ClusterSection:
    """The section's words, its table with a row for each snapshot and method, and the maps of the last snapshot."""

    texts: Sequence[str]
    table: Table | None
    pictures: Sequence[Picture]
    classes: Picture | None


def scores_of(coded: Coded, seed: int) -> ClusterScores | None:
    """What `cluster_scores` says of the validation digits; None without labels, or where codes hardly differ."""
    labels, votes = coded.validation.labels, coded.reference.labels
    if labels is None or votes is None or len(coded.reference) < NEIGHBORS:
        return None
    try:
        return cluster_scores(coded.codes, labels, coded.reference_codes.numpy(), votes, seed)
    except InputError:
        return None


def cluster_section(
    coded: Sequence[Coded], scores: Sequence[ClusterScores | None], limit: float, data: str
) -> ClusterSection:
    """Words, numbers and maps on clusters.

    Args:
        coded: The snapshots.
        scores: Their scores, of the same length.
        limit: End of the latent axes.
        data: The caption of the data.
    """
    last, final = coded[-1], scores[-1]
    if last.validation.labels is None:
        return ClusterSection(
            ["These digits have no labels, so clusters cannot be held against classes, and neither votes nor an "
             "accuracy are given."],
            None, [], None,
        )  # fmt: skip
    if final is None:
        return ClusterSection(
            [f"There are too few validation digits, or too few different codes, to look for {CLUSTERS} clusters."],
            None, [], None,
        )  # fmt: skip
    space = "the latent plane" if last.model.latent_dim == 2 else f"all {last.model.latent_dim} latent dimensions"
    texts = [
        f"The network never saw a label. Here its codes of the {final.n:,} validation digits, in {space}, are grouped "
        f"by two methods that do not see the labels either: k-means, which looks for round clusters of like size, and "
        f"a mixture of {CLUSTERS} Gaussians, whose clusters may be long or tilted. Only then are the clusters held "
        "against the labels.",
        _verdict(final),
    ]
    labels = np.asarray(last.validation.labels)
    maps = [
        picture(
            draw_clusters(plane(last.codes), labels, limit),
            "The classes",
            f"Map of the validation digits after epoch {last.epoch}, coloured by class.",
            f"What the digits are. {data}.",
        )
    ]
    judged = (("k-means", final.k_means), ("Gaussian mixture", final.gaussian_mixture))
    for name, clustering in judged:
        colours = _matched(labels, clustering.clusters)
        maps.append(
            picture(
                draw_clusters(plane(last.codes), colours, limit, plane(clustering.centers)),
                name[0].upper() + name[1:],
                f"The same map coloured by the {CLUSTERS} clusters of {name}, their middles marked by crosses. "
                f"{percent(clustering.accuracy)} of the digits lie in the cluster that is matched to their class.",
                f"Coloured by cluster, each in the colour of the class it is matched to: accuracy "
                f"{percent(clustering.accuracy)}. Crosses are the middles.",
            )
        )
    classes = picture(
        draw_classes(plane(last.codes), labels, limit),
        "Each digit alone",
        f"Ten small maps after epoch {last.epoch}, one for each digit, which is drawn dark over the others in grey.",
        f"The same map once for each digit: no colour is needed to read it. {data}.",
    )
    return ClusterSection(texts, _table(coded, scores, data), maps, classes)


def _verdict(scores: ClusterScores) -> str:
    best = max(scores.k_means.accuracy, scores.gaussian_mixture.accuracy)
    gap = scores.neighbor_accuracy - best
    text = (
        f"At the last snapshot {percent(best)} of the digits lie in the cluster that is matched to their class, while "
        f"a vote of the {NEIGHBORS} nearest training codes names {percent(scores.neighbor_accuracy)} of them rightly."
    )
    if gap > 0.05:
        text += (
            " Neighbours agree with the classes more than clusters do: the classes have places of their own, but they "
            "are not ten separate lumps."
        )
    return text


def _table(coded: Sequence[Coded], scores: Sequence[ClusterScores | None], data: str) -> Table:
    rows = []
    for each, score in zip(coded, scores, strict=True):
        if score is None:
            rows.append([f"{each.epoch}", "codes hardly differ", *["–"] * 5])
            continue
        for name, c in (("k-means", score.k_means), ("Gaussian mixture", score.gaussian_mixture)):
            silhouette = None if np.isnan(c.silhouette) else c.silhouette
            rows.append(
                [
                    f"{each.epoch}",
                    name if c.converged else f"{name} (not converged)",
                    percent(c.accuracy),
                    number(c.nmi, 3),
                    number(c.ari, 3),
                    number(silhouette, 3),
                    percent(score.neighbor_accuracy),
                ]
            )
    n = next(score.n for score in scores if score is not None)
    votes = min(len(each.reference) for each in coded)
    caption = (
        f"{n:,} validation digits. Accuracy: share in the cluster matched to their class, clusters and classes matched "
        "one to one (Hungarian method). NMI, ARI: agreement with the classes, 1 is perfect, ARI 0 is chance. "
        f"Silhouette: how separate the clusters are, labels aside. {NEIGHBORS}-neighbour accuracy: share whose class "
        f"most of the {NEIGHBORS} nearest of {votes:,} training codes have; it is the same for both methods. {data}."
    )
    head = ["epoch", "method", "accuracy", "NMI", "ARI", "silhouette", f"{NEIGHBORS}-neighbour accuracy"]
    return Table("Clustering by snapshot", caption, head, rows, left=2)


def _matched(labels: Array, clusters: Array) -> Array:
    """Clusters renamed to the classes that they are matched to one to one; those without a partner to what is left."""
    counts = contingency_matrix(labels, clusters)
    classes, names = np.unique(labels), np.unique(clusters)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    partner = dict(zip(names[columns], classes[rows], strict=True))
    spare = iter(sorted(set(range(CLUSTERS)) - set(partner.values())))
    renamed: Array = np.array([partner[name] if name in partner else next(spare) for name in names])
    return renamed[np.searchsorted(names, clusters)]
