"""The models that come with the package: they load, say what they are, and keep the order of the bounds."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands import digitvae

from digitvae.checkpoint import load_model, model_facts
from digitvae.evaluation.density import CONVERGED, QUADRATURE_DIMENSIONS, binarize, importance_weighted, quadrature
from digitvae.objective import elbo_terms
from digitvae.rundir import PRETRAINED, find_model, shipped_models

LIMIT_MB = 25

each = pytest.mark.parametrize("name", shipped_models())


@each
def test_the_card_says_data_measures_and_limits(name):
    card = (find_model(name) / "README.md").read_text(encoding="utf-8")
    facts = model_facts(find_model(name))
    assert facts["data"]["sha256"] in card
    likelihood = "iw_bound" if facts["config"]["model"]["latent_dim"] > QUADRATURE_DIMENSIONS else "log_prob_quadrature"
    for word in ("Trained on", "Measured on", "Limits", "Terms", likelihood):
        assert word in card, word


def test_all_shipped_weights_stay_small():
    assert {"exact", "map", "studio"} <= set(shipped_models())
    assert sum(file.stat().st_size for file in PRETRAINED.rglob("*.*")) < LIMIT_MB * 1e6


@pytest.mark.slow
@each
def test_elbo_importance_weighted_bound_and_quadrature_are_in_order(name, splits_5k):
    """Means of the differences over real digits, within 4 standard errors, on a lattice found to be converged.

    A model that is told the digit has no quadrature: its prior is another one for each.
    """
    model, _ = load_model(find_model(name))
    digits = splits_5k.test.subset(slice(200))
    x, labels = binarize(digits.images, 0), torch.from_numpy(digits.labels.astype(np.int64))
    given = model.given(labels)
    with torch.inference_mode():
        noise = torch.randn(len(x), model.latent_dim, generator=torch.Generator().manual_seed(0))
        rising = [elbo_terms(given, x, noise).elbo, importance_weighted(given, x, 100, 0)]
    if not model.classes:
        assert model.latent_dim <= QUADRATURE_DIMENSIONS
        found = quadrature(model, x, 2)
        assert abs(found.change) < CONVERGED
        rising.append(found.log_prob)
    for lower, upper in itertools.pairwise(rising):
        difference = (upper - lower).double()
        assert difference.mean() > -4 * difference.std() / len(x) ** 0.5


@each
def test_digits_are_scored_with_no_data_at_hand(name, splits_5k, tmp_path):
    """A real digit is ordinary, noise is rarer than all; nothing is looked for or downloaded."""
    if model_facts(find_model(name))["config"]["model"]["classes"]:
        pytest.skip("a model that is told the digit does not score digits")
    noise = 255 * np.random.default_rng(0).integers(0, 2, (28, 28), np.uint8)
    noise[:4] = noise[-4:] = noise[:, :4] = noise[:, -4:] = 0
    Image.fromarray(splits_5k.test.images[0]).save(tmp_path / "a.png")
    Image.fromarray(noise).save(tmp_path / "b.png")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    done = digitvae("score", tmp_path, "--model", name, "--out", tmp_path / "s.csv", env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test digits of MNIST" in " ".join(done.stderr.split())
    percentiles = [float(line.split(",")[2]) for line in (tmp_path / "s.csv").read_text().splitlines()[1:]]
    assert percentiles[1] == 0 < percentiles[0]
