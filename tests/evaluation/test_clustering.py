"""Clusterings and neighbours held against cases worked out by hand, scikit-learn and brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from digitvae.errors import InputError
from digitvae.evaluation.clustering import (
    CLUSTERS,
    NOISE,
    SILHOUETTE_SAMPLE,
    cluster_measures,
    cluster_scores,
    dense_clusters,
    hungarian_accuracy,
    neighbor_vote,
)


def blobs(n, spread, seed=0):
    """Codes around ten places on a circle, and which of the ten each belongs to."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    angle = 2 * np.pi * labels / 10
    codes = 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + spread * rng.normal(size=(n, 2))
    return codes.astype(np.float32), labels.astype(np.uint8)


groups = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 3), min_size=n, max_size=n), st.lists(st.integers(0, 3), min_size=n, max_size=n)
    )
)


@settings(deadline=None)
@given(groups)
def test_hungarian_accuracy_is_the_best_of_all_matchings(pair):
    labels, clusters = np.array(pair[0]), np.array(pair[1])
    best = max(np.mean(labels == np.array(names)[clusters]) for names in itertools.permutations(range(4)))
    assert hungarian_accuracy(labels, clusters) == pytest.approx(best)


@settings(deadline=None)
@given(groups, st.permutations(range(4)))
def test_hungarian_accuracy_does_not_depend_on_names(pair, names):
    labels, clusters = np.array(pair[0]), np.array(pair[1])
    accuracy = hungarian_accuracy(labels, clusters)
    assert hungarian_accuracy(labels, np.array(names)[clusters] + 7) == accuracy
    assert hungarian_accuracy(clusters, labels) == accuracy
    assert hungarian_accuracy(labels, labels) == 1


@pytest.mark.parametrize(
    ("labels", "clusters", "wanted"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([0, 0, 0, 0], [0, 0, 1, 2], 0.5),  # more clusters than classes: one cluster counts
        ([0, 0, 1, 2], [0, 0, 0, 0], 0.5),  # fewer: one class counts
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0], 4 / 6),
    ],
)
def test_hungarian_accuracy_by_hand(labels, clusters, wanted):
    assert hungarian_accuracy(np.array(labels), np.array(clusters)) == pytest.approx(wanted)


def test_classes_far_apart_are_found_by_every_method():
    codes, labels = blobs(600, spread=0.1)
    scores = cluster_scores(codes, labels)
    assert scores.n == 600
    for found in (scores.k_means, scores.gaussian_mixture):
        assert (found.accuracy, found.nmi, found.ari) == (1, pytest.approx(1), pytest.approx(1))
        assert found.silhouette == pytest.approx(silhouette_score(codes, labels), abs=1e-6)
        assert found.converged
    assert scores.neighbor_accuracy == 1


def test_labels_without_relation_to_the_codes_score_as_chance():
    codes, _ = blobs(3000, spread=0.1)
    scores = cluster_scores(codes, np.random.default_rng(1).integers(0, 10, 3000))
    for found in (scores.k_means, scores.gaussian_mixture):
        assert found.accuracy < 0.15
        assert abs(found.ari) < 0.01
        assert found.nmi < 0.02
        assert found.silhouette > 0.8  # labels aside, the clusters are there
    assert scores.neighbor_accuracy == pytest.approx(0.1, abs=0.03)


def test_scores_are_those_of_scikit_learn_and_depend_on_the_seed_alone():
    codes, labels = blobs(2500, spread=1.2)
    scores = cluster_scores(codes, labels, seed=3)
    assert cluster_scores(codes, labels, seed=3) == scores
    mixture = GaussianMixture(CLUSTERS, n_init=3, tol=1e-4, max_iter=500, random_state=3)
    with threadpool_limits(1):  # as in the module: threads change the last digits, and are slow
        clusters = mixture.fit_predict(codes.astype(np.float64))
    few = np.random.default_rng(3).permutation(len(codes))[:SILHOUETTE_SAMPLE]
    found = scores.gaussian_mixture
    assert found.nmi == pytest.approx(normalized_mutual_info_score(labels, clusters))
    assert found.ari == pytest.approx(adjusted_rand_score(labels, clusters))
    assert found.accuracy == pytest.approx(hungarian_accuracy(labels, clusters))
    assert found.silhouette == pytest.approx(silhouette_score(codes[few], clusters[few]), abs=1e-6)


def test_neighbour_accuracy_leaves_each_code_itself_out():
    codes, labels = blobs(200, spread=1.2)
    scores = cluster_scores(codes, labels)
    votes = cross_val_predict(KNeighborsClassifier(10), codes.astype(np.float64), labels, cv=LeaveOneOut())
    assert scores.neighbor_accuracy == pytest.approx(np.mean(votes == labels))
    assert scores.neighbor_reference == "leave-one-out"


def test_neighbour_accuracy_uses_training_codes_where_given():
    codes, labels = blobs(200, spread=1.2)
    train_codes, train_labels = blobs(500, spread=1.2, seed=1)
    scores = cluster_scores(codes, labels, train_codes, train_labels)
    oracle = KNeighborsClassifier(10).fit(train_codes.astype(np.float64), train_labels)
    assert scores.neighbor_accuracy == pytest.approx(oracle.score(codes.astype(np.float64), labels))
    assert scores.neighbor_reference == "train"


def test_neighbours_vote_for_draws_of_any_shape_and_ties_go_to_the_smallest():
    reference, labels = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), np.array([7, 3, 3, 9, 9], np.uint8)
    codes = np.array([[[0.1], [1.9]], [[10.4], [0.4]]])
    assert neighbor_vote(reference, labels, codes, k=3).tolist() == [[3, 3], [9, 3]]
    assert neighbor_vote(reference, labels, codes, k=2).tolist() == [[3, 3], [9, 3]]
    votes = neighbor_vote(reference, labels, codes, k=1)
    assert votes.tolist() == [[7, 3], [9, 7]]
    assert votes.dtype == np.uint8


def test_difficult_codes_leak_no_warning():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 400)
    on_a_line = np.repeat(rng.normal(size=(400, 1)), 2, axis=1)
    few_places = rng.integers(0, CLUSTERS, 400)[:, None] * np.ones((1, 2))
    tiny = 1e-4 * rng.normal(size=(400, 2))
    far = 1e4 + rng.normal(size=(400, 2))
    for codes in (on_a_line, few_places, tiny, far):
        scores = cluster_scores(codes, labels)
        for found in (scores.k_means, scores.gaussian_mixture):
            assert 0.1 <= found.accuracy < 0.3
            assert math.isfinite(found.nmi)


codes_20, labels_20 = blobs(20, spread=1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cluster_scores(codes_20[:10], labels_20[:10]),
        lambda: cluster_scores(np.zeros((20, 2)), labels_20),
        lambda: cluster_scores(codes_20, labels_20[:19]),
        lambda: cluster_scores(codes_20 * np.nan, labels_20),
        lambda: cluster_scores(codes_20[:, 0], labels_20),
        lambda: cluster_scores(codes_20, labels_20, train_codes=codes_20),
        lambda: cluster_scores(codes_20, labels_20, train_codes=codes_20[:9], train_labels=labels_20[:9]),
        lambda: neighbor_vote(codes_20, labels_20, codes_20, k=0),
        lambda: neighbor_vote(codes_20, labels_20, codes_20, k=21),
        lambda: neighbor_vote(codes_20, labels_20, np.zeros((3, 3))),
        lambda: neighbor_vote(codes_20, labels_20, np.full((3, 2), np.inf)),
        lambda: hungarian_accuracy(np.array([]), np.array([])),
        lambda: hungarian_accuracy(np.zeros(3, int), np.zeros(2, int)),
    ],
)
def test_what_cannot_be_used_is_refused(call):
    with pytest.raises(InputError):
        call()


def test_noise_is_wrong_and_no_partner_of_a_class():
    labels, clusters = np.array([0, 0, 1, 1]), np.array([4, 4, NOISE, NOISE])
    assert hungarian_accuracy(labels, clusters) == 0.5
    assert hungarian_accuracy(labels, np.full(4, NOISE)) == 0


def test_dense_clusters_find_blobs_and_leave_noise_out():
    codes, labels = blobs(1000, 0.1)
    far = np.random.default_rng(1).uniform(20, 200, (20, 2)).astype(np.float32)
    found = dense_clusters(np.concatenate([codes, far]), np.concatenate([labels, np.zeros(20, np.uint8)]))
    assert found.accuracy == pytest.approx(1000 / 1020)
    assert (found.clusters[-20:] == NOISE).all()
    assert found.centers.shape == (10, 2)
    assert found.silhouette > 0.9
    assert found.ami < 1


def test_codes_that_are_all_alike_are_all_noise_or_one_cluster():
    found = dense_clusters(np.zeros((100, 2), np.float32), np.arange(100) % 10)
    assert found.accuracy <= 0.1
    assert math.isnan(found.silhouette)


def test_measures_over_seeds():
    codes, labels = blobs(400, 0.5)
    train_codes, train_labels = blobs(400, 0.5, seed=1)
    measures = {m.name: m for m in cluster_measures(codes, labels, train_codes, train_labels, seeds=3)}
    scores = [cluster_scores(codes, labels, train_codes, train_labels, seed) for seed in range(3)]
    accuracy = measures["k-means: accuracy"]
    assert accuracy.value == pytest.approx(np.mean([s.k_means.accuracy for s in scores]))
    assert accuracy.over == "3 seeds"
    assert measures["10-neighbour accuracy"].value == scores[0].neighbor_accuracy
    assert measures["HDBSCAN: AMI"].spread is None
    assert len(measures) == 16
