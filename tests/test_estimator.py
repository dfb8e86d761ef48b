"""The scikit-learn face: its own checks, densities held against sums and integrals, and the ways that it is used."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from digitvae.config import load_recipe
from digitvae.distributions import PixelNormal
from digitvae.errors import ConfigError, InputError
from digitvae.estimator import DigitVAE, _moments
from digitvae.training import Trainer


@parametrize_with_checks([DigitVAE(), DigitVAE(latent_dim=4, epochs=2), DigitVAE(recipe="exact", epochs=1)])
def test_scikit_learn_is_content(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    return load_iris().data


@pytest.fixture(scope="module")
def pixels(digits):
    return digits.reshape(len(digits), -1) / 255


@pytest.fixture(scope="module")
def fitted(iris):
    return DigitVAE(epochs=300, random_state=0).fit(iris)


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_normal_densities_integrate_to_one(latent):
    X = np.random.default_rng(0).normal(5, 40, (60, 1))
    vae = DigitVAE(latent, epochs=20, random_state=0).fit(X)
    grid = np.linspace(-800, 800, 2001)
    density = np.exp(vae.score_samples(grid[:, None]))
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_bernoulli_probabilities_sum_to_one(latent):
    every = np.array(list(itertools.product([0, 1], repeat=5)))
    vae = DigitVAE(latent, epochs=20, random_state=0).fit(every[[0, 3, 7, 15, 31, 30]])
    assert vae.likelihood_ == "bernoulli"
    assert np.exp(vae.score_samples(every)).sum() == pytest.approx(1, abs=1e-9)


def test_the_bound_of_many_dimensions_is_nearly_a_density():
    every = np.array(list(itertools.product([0, 1], repeat=5)))
    vae = DigitVAE(4, epochs=20, random_state=0).fit(every)
    total = np.exp(vae.score_samples(every)).sum()
    assert 0.9 < total < 1.02  # it is a lower bound in expectation, and the noise is the same for all rows


def test_the_jacobian_of_the_standardisation_is_counted(iris):
    factor = np.array([2.0, 0.25, 8.0, 1024.0])  # powers of two: what the model sees is the same to the bit
    first, second = (DigitVAE(epochs=3, random_state=0).fit(iris * f) for f in (1, factor))
    np.testing.assert_array_equal(first.transform(iris), second.transform(iris * factor))
    wanted = first.score_samples(iris) - np.log(factor).sum()
    np.testing.assert_allclose(second.score_samples(iris * factor), wanted, rtol=0, atol=1e-9)


def test_training_raises_the_density(iris, fitted):
    short = DigitVAE(epochs=1, random_state=0).fit(iris)
    assert fitted.score(iris) > short.score(iris) + 0.5
    assert fitted.score(iris) == pytest.approx(fitted.score_samples(iris).mean())


def test_samples_are_like_what_was_fitted(iris, fitted):
    drawn = fitted.sample(4000)
    np.testing.assert_allclose(drawn.mean(0), iris.mean(0), atol=0.5)
    np.testing.assert_allclose(drawn.std(0), iris.std(0), rtol=0.5)
    np.testing.assert_array_equal(drawn[:3], fitted.sample(4000)[:3])


def test_inverse_transform_is_near_the_row_it_came_from(iris, fitted):
    back = fitted.inverse_transform(fitted.transform(iris))
    assert back.shape == iris.shape
    assert np.square(back - iris).sum() < 0.5 * np.square(iris - iris.mean(0)).sum()


def test_inference_is_float64_repeatable_and_leaves_the_global_streams_alone(iris, fitted):
    state, before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for result in (fitted.transform(iris), fitted.score_samples(iris), fitted.inverse_transform(np.zeros((2, 2)))):
        assert result.dtype == np.float64
    np.testing.assert_array_equal(fitted.transform(iris), fitted.transform(iris))
    DigitVAE(epochs=1, random_state=0).fit(iris).sample()
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    float32 = fitted.model_.float().encode(fitted._rows(iris).float()).loc
    fitted.model_.double()
    assert not np.array_equal(float32.numpy(), fitted.transform(iris).astype(np.float32))


def test_random_state_follows_the_rules_of_scikit_learn(iris):
    def weights(state):
        return DigitVAE(epochs=1, random_state=state).fit(iris).transform(iris)

    np.testing.assert_array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))
    shared = np.random.RandomState(0)
    assert not np.array_equal(weights(shared), weights(shared))
    vae = DigitVAE(epochs=1, random_state=np.random.RandomState(0)).fit(iris)
    assert not np.array_equal(vae.sample(3), vae.sample(3))


def test_pickled_and_cloned(iris, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.score_samples(iris), fitted.score_samples(iris))
    first, second = (vae.partial_fit(iris).transform(iris) for vae in (again, pickle.loads(pickle.dumps(fitted))))
    np.testing.assert_array_equal(first, second)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        fresh.transform(iris)


def test_partial_fit_goes_on_from_what_was_learned(iris):
    vae = DigitVAE(random_state=0)
    scores = [vae.partial_fit(part).score(iris) for _ in range(15) for part in np.split(iris, [90])]
    assert scores[-1] > scores[0] + 0.3
    better = DigitVAE(epochs=40, random_state=0).fit(iris)
    before = better.score(iris)
    assert abs(better.partial_fit(iris).score(iris) - before) < 1


def test_partial_fit_refuses_what_its_first_rows_ruled_out():
    vae = DigitVAE(random_state=0).partial_fit(np.eye(4))
    with pytest.raises(InputError, match="clip them"):
        vae.partial_fit(2 * np.eye(4))
    with pytest.raises(InputError, match="clip them"):
        vae.score_samples(-np.eye(4))


def test_a_fit_that_is_broken_off_leaves_no_model_of_other_rows(iris, monkeypatch):
    vae = DigitVAE(epochs=1, random_state=0).fit(iris)

    def interrupted(self, stop=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            vae.fit(iris[:, :3] * 1000)
    with pytest.raises(NotFittedError):
        vae.transform(iris)
    assert vae.partial_fit(iris).transform(iris).shape == (150, 2)


@pytest.mark.parametrize("features", [3, 784])
def test_a_recipe_with_a_normal_likelihood_has_it_for_values_between_0_and_1_too(features, tmp_path, pixels):
    path = tmp_path / "mine.toml"
    path.write_text(load_recipe("sprint").with_settings(["likelihood=normal"]).to_toml())
    rows = pixels[:40] if features == 784 else np.random.default_rng(0).uniform(size=(40, features))
    vae = DigitVAE(4, recipe=str(path), epochs=1, random_state=0).fit(rows)
    assert vae.likelihood_ == "normal"
    assert (vae.mean_ is None) == (features == 784)  # pixels are left as they are
    assert isinstance(vae.model_.decode(torch.zeros(1, 4).double()), PixelNormal)
    assert np.isfinite(vae.score_samples(rows[:2] + 1)).all()  # values that a Bernoulli likelihood refuses
    assert vae.sample(50).min() < 0  # with its noise


def test_names_of_columns(iris):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(iris, columns=["a", "b", "c", "d"])
    vae = DigitVAE(epochs=1, random_state=0).set_output(transform="pandas").fit(table)
    assert vae.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert vae.get_feature_names_out().tolist() == ["digitvae0", "digitvae1"]
    assert list(vae.transform(table).columns) == ["digitvae0", "digitvae1"]
    assert vae.n_features_in_ == 4


def test_in_pipelines_and_searches(iris):
    classes = load_iris().target
    pipeline = make_pipeline(MinMaxScaler(clip=True), DigitVAE(epochs=60, random_state=0), LogisticRegression())
    assert pipeline.fit(iris, classes).score(iris, classes) > 0.7
    search = GridSearchCV(DigitVAE(epochs=2, random_state=0), {"latent_dim": [1, 2]}, cv=2).fit(iris)
    assert search.best_params_["latent_dim"] in (1, 2)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("recipe", ["sprint", "seed", "map"])
def test_images(recipe, pixels):
    vae = DigitVAE(recipe=recipe, epochs=2, random_state=0).fit(pixels)
    assert vae.likelihood_ == "bernoulli"
    assert vae.config_.data.augmentation == (0.15 if recipe == "map" else 0)
    first = vae.transform(pixels)
    np.testing.assert_allclose(first[:1], vae.transform(pixels[:1]), rtol=0, atol=1e-9)
    drawn = vae.sample(3)
    assert drawn.shape == (3, 784)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    if recipe == "sprint":  # the quickest to integrate
        assert -600 < vae.score(pixels[:50]) < -100


def test_recipes_that_do_not_fit_are_refused(iris, pixels):
    with pytest.raises(InputError, match="needs images: 784 features"):
        DigitVAE(recipe="seed").fit(iris)
    with pytest.raises(InputError, match="needs images"):
        DigitVAE(recipe="seed").fit(pixels * 255)
    with pytest.raises(InputError, match="conditioned on labels"):
        DigitVAE(recipe="studio").fit(pixels)
    with pytest.raises(ConfigError, match="did you mean 'map'"):
        DigitVAE(recipe="mapp").fit(iris)
    with pytest.raises(ConfigError, match="latent_dim"):
        DigitVAE(latent_dim=0).fit(iris)
    with pytest.raises(InputError, match="2 columns"):
        DigitVAE(epochs=1).fit(iris).inverse_transform(np.zeros((1, 3)))
    with pytest.raises(InputError, match="n_samples"):
        DigitVAE(epochs=1).fit(iris).sample(0)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 3)), elements=FINITE))
@settings(max_examples=40, deadline=None)
def test_any_finite_values_can_be_fitted(X):
    vae = DigitVAE(1, epochs=1, random_state=0).fit(X)
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.score_samples(X)).all()


@given(arrays(np.float64, (5, 2), elements=st.floats(-1e6, 1e6)))
def test_moments_are_those_of_numpy(X):
    mean, scale = _moments(X)
    np.testing.assert_allclose(mean, X.mean(0), rtol=1e-9, atol=1e-6)
    varying = scale != 1
    np.testing.assert_allclose(scale[varying], X.std(0)[varying], rtol=1e-6, atol=1e-9)


def test_more_features_than_an_image_has_pixels():
    X = np.random.default_rng(0).normal(size=(8, 20_000)) * 50
    vae = DigitVAE(epochs=1, random_state=0).fit(X)
    assert np.isfinite(vae.transform(X)).all()
