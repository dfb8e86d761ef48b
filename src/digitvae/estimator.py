"""The scikit-learn face: a VAE that fits, transforms and scores arrays of shape (n_samples, n_features)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from digitvae.config import Config, load_recipe
from digitvae.config.rules import QUADRATURE_DIMENSIONS
from digitvae.distributions import FeatureLikelihood
from digitvae.errors import DataError, InputError
from digitvae.models.vae import VAE
from digitvae.networks import IMAGE, PIXELS, Shape
from digitvae.objective import iw_bound_at, log_prob_quadrature
from digitvae.optimization import default_device
from digitvae.training import Trainer, stream_seed

Array = npt.NDArray[np.float64]

POINTS = {1: 4096, 2: 28_657, 3: 32_768}
"""Points of the lattice that `DigitVAE.score_samples` integrates over, by latent dimensions."""

CODES = 100
"""Codes for each row in the bound that it gives beyond these dimensions."""

ROWS = 200
"""Rows computed at a time; only the memory taken depends on it."""

LEAST_WIDTH = 32
"""Hidden layers for rows that are no images have at most four units for each feature, or this many."""


class DigitVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A variational autoencoder (Kingma and Welling, 2014) as a scikit-learn transformer and density estimator.

    Rows of any finite real features, of any number. Where all values lie in [0, 1] the likelihood is Bernoulli; else,
    or where the recipe's is, it is Normal, with one scale, on features that `fit` standardises. Rows of 784 features in
    [0, 1] are taken for images of 28 x 28 pixels, row by row, and trained on as the recipe says, with its likelihood on
    the pixels as they are; other rows are neither changed at random nor binarised, and the hidden layers of small ones
    are narrower than the recipe's.

    A `y` is taken, because pipelines give it, and ignored. Training draws from `random_state` alone. All that follows
    has no randomness but `sample`, and runs in float64.

    Args:
        latent_dim: Number of latent dimensions: columns of what `transform` gives.
        recipe: Networks and training: the name of a recipe, or the path of a TOML file. Recipes with convolutions
            (``seed``) need images. One that is conditioned on labels (``studio``) cannot be used.
        epochs: Passes over the rows; those of the recipe where None. All are done: there is no validation set.
        random_state: An int, RandomState instance or None. Seeds initial weights, shuffling and noise in training, and
            `sample`. An int gives the same at every call.

    Attributes:
        model_: The `digitvae.models.vae.VAE`, with float64 weights; it takes rows as shape (batch, 1, 28, 28) or
            (batch, 1, 1, n_features).
        config_: The `digitvae.config.Config` that it was trained with.
        likelihood_: ``bernoulli`` or ``normal``.
        mean_: Means of the features, of shape (n_features,), by which they are standardised; None where they are not.
        scale_: Their standard deviations, likewise; a constant feature has scale 1.
        n_features_in_: Number of features seen in `fit`.
        feature_names_in_: Their names, where X had names that are all text.

    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = DigitVAE(latent_dim=2, epochs=3, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.score_samples(X).shape, vae.sample(5).shape
    ((150, 2), (150,), (5, 4))
    >>> vae.get_feature_names_out().tolist()
    ['digitvae0', 'digitvae1']
    """

    def __init__(
        self, latent_dim: int = 2, *, recipe: str = "map", epochs: int | None = None, random_state: Any = None
    ) -> None:
        self.latent_dim = latent_dim
        self.recipe = recipe
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train a model on rows, from new weights.

        Args:
            X: Array-like of shape (n_samples, n_features); finite real values; two rows or more.

        Returns:
            The fitted estimator.

        Raises:
            InputError: If the recipe or a setting cannot be used, or the recipe needs images and these rows are none.
            TrainingDivergedError: If the loss is not finite, or explodes.
        """
        # Where this fit is broken off, no earlier model is to stand beside what is settled for the new rows.
        for name in ("model_", "_state"):
            if hasattr(self, name):
                delattr(self, name)
        X = self._checked(X, reset=True, ensure_min_samples=2)
        self._begin(X)
        trainer = self._trainer(X, self.config_)
        while trainer.progress.epoch < self.config_.training.epochs:
            trainer.train_epoch()
        return self._keep(trainer)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one pass over rows, going on from what was learned before, at a learning rate that stays.

        The first call, where `fit` was not called before it, decides for all on likelihood and standardisation.

        Args:
            X: Array-like of shape (n_samples, n_features); finite real values; two rows or more.

        Returns:
            The fitted estimator.

        Raises:
            InputError: As in `fit`, or if values leave [0, 1] that were all in it at first.
            TrainingDivergedError: If the loss is not finite, or explodes.
        """
        first = not hasattr(self, "model_")
        X = self._checked(X, reset=first, ensure_min_samples=2)
        if first:
            self._begin(X)
        self._refuse_outside(X)
        steady = dataclasses.replace(
            self.config_.training, schedule="constant", warmup=0.0, beta_warmup=0.0, basis_warmup=0.0
        )
        trainer = self._trainer(X, dataclasses.replace(self.config_, training=steady))
        if not first:
            tensors, facts = self._state
            trainer.load_state(tensors, facts)
        trainer.progress.schedule_start = trainer.progress.epoch
        trainer.train_epoch()
        return self._keep(trainer)

    def transform(self, X: Any) -> Array:
        """The means (``loc``) of the approximate posteriors.

        Args:
            X: Array-like of shape (n_samples, n_features); rows.

        Returns:
            Their codes, float64, of shape (n_samples, latent_dim).
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        return self._by_parts(X, lambda x: self.model_.encode(x).loc)

    def inverse_transform(self, Z: Any) -> Array:
        """What codes stand for: the means of the likelihood given them.

        Args:
            Z: Array-like of shape (n_samples, latent_dim); codes.

        Returns:
            Rows, in the units of those that were fitted, float64, of shape (n_samples, n_features).

        Raises:
            InputError: If codes have another number of columns.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float64)
        if Z.shape[1] != self._n_features_out:
            raise InputError(f"Codes need {self._n_features_out} columns (latent_dim), and these have {Z.shape[1]}.")
        with torch.no_grad():
            parts = [self.model_.decode(z).mean.flatten(1) for z in torch.split(torch.from_numpy(np.array(Z)), ROWS)]
        return self._in_units(torch.cat(parts).numpy())

    def sample(self, n_samples: int = 1) -> Array:
        """Draw rows: codes from the prior, decoded.

        With the Normal likelihood the rows have its noise. With the Bernoulli likelihood they are its means, such as
        grey levels.

        Args:
            n_samples: Number of rows.

        Returns:
            Rows, in the units of those that were fitted, float64, of shape (n_samples, n_features).

        Raises:
            InputError: If fewer than one is asked for.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise InputError(f"n_samples must be 1 or more, not {n_samples}.")
        generator = torch.Generator().manual_seed(_seed(self.random_state, "sample"))
        with torch.no_grad():
            parts = []
            for z in torch.split(self.model_.prior.sample(n_samples, generator).double(), ROWS):
                drawn = self.model_.decode(z)
                rows = drawn.mean if self.likelihood_ == "bernoulli" else drawn.sample(generator)
                parts.append(rows.flatten(1))
        return self._in_units(torch.cat(parts).numpy())

    def score_samples(self, X: Any) -> Array:
        """Log densities of rows under the model, in nats.

        Up to three latent dimensions log p(x), integrated over a lattice of fixed points (`POINTS`), which is a lower
        bound where a posterior is narrower than their distances; beyond, the importance-weighted lower bound on it
        (Burda et al., 2016) with 100 codes from the same noise for every row. The density is that of the features as
        they were given: the Jacobian of the standardisation is counted. With the Bernoulli likelihood it is the
        logarithm of a probability for zeros and ones, and minus a cross-entropy for values between.

        Args:
            X: Array-like of shape (n_samples, n_features); rows.

        Returns:
            Nats per row, float64, of shape (n_samples,).

        Raises:
            InputError: If values leave [0, 1] and the likelihood is Bernoulli.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        self._refuse_outside(X)
        latent = self._n_features_out
        if latent <= QUADRATURE_DIMENSIONS:
            shift = torch.full((1, latent), 0.5)
            # All rows at once, since the cost is that of decoding the points.
            scores = log_prob_quadrature(self.model_, self._rows(X), POINTS[latent], shift)[0].numpy()
        else:
            generator = torch.Generator().manual_seed(stream_seed(0, "codes"))
            noise = torch.randn(CODES, latent, generator=generator, dtype=torch.float64)
            scores = self._by_parts(X, lambda x: iw_bound_at(self.model_, x, noise))
        jacobian = 0.0 if self.scale_ is None else np.log(self.scale_).sum()
        densities: Array = scores - jacobian
        return densities

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log density of rows, in nats: higher is better.

        Args:
            X: Array-like of shape (n_samples, n_features); rows.

        Returns:
            The mean of `score_samples`.

        Raises:
            InputError: As in `score_samples`.
        """
        return float(self.score_samples(X).mean())

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` gives; scikit-learn's name for it."""
        return int(self.model_.latent_dim)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _checked(self, X: Any, **options: Any) -> npt.NDArray[np.floating]:
        rows: npt.NDArray[np.floating] = validate_data(self, X, dtype=(np.float64, np.float32), **options)
        return rows

    def _begin(self, X: npt.NDArray[np.floating]) -> None:
        """Decide on the likelihood, the standardisation and the settings, from the first rows."""
        config = load_recipe(self.recipe)
        if config.model.classes:
            raise InputError(f"Recipe '{self.recipe}' is conditioned on labels, which fit does not learn from.")
        settings = [f"latent_dim={self.latent_dim}"] + [f"epochs={self.epochs}"] * (self.epochs is not None)
        inside = bool(X.min() >= 0 and X.max() <= 1)
        images = inside and X.shape[1] == PIXELS**2
        if not images:
            if config.model.network == "conv":
                raise DataError(
                    f"Recipe '{self.recipe}' needs images: {PIXELS**2} features (28 x 28 pixels) in [0, 1], and X has "
                    f"{X.shape[1]} features; take another recipe, such as map."
                )
            settings += ["binarization=none", "augmentation=0", "precision=float32"]
            most = max(LEAST_WIDTH, 4 * X.shape[1])
            for name in ("encoder", "decoder"):
                settings += [f"{name}={[min(width, most) for width in getattr(config.model, name)]}"]
        settings += [f"seed={_seed(self.random_state, 'fit')}"]
        self.config_: Config = config.with_settings(settings)
        self.likelihood_: str = config.model.likelihood if inside else "normal"
        self.mean_: Array | None = None
        self.scale_: Array | None = None
        if self.likelihood_ == "normal" and not images:
            self.mean_, self.scale_ = _moments(np.asarray(X, np.float64))

    def _trainer(self, X: npt.NDArray[np.floating], config: Config) -> Trainer:
        x = self._rows(X).float().squeeze(1).numpy()
        model = self._new_model()
        return Trainer(config, x, x[:1], default_device(), model=model)

    def _new_model(self) -> VAE:
        settings = self.config_
        model = VAE.from_config(settings.model, stream_seed(settings.training.seed, "weights"), self._shape)
        if self.mean_ is not None:
            model.likelihood = FeatureLikelihood()
        return model

    def _keep(self, trainer: Trainer) -> Self:
        """Take over what a trainer has learned: a float64 model to infer with, and what `partial_fit` goes on from."""
        tensors, facts = trainer.state()
        self._state = {name: t.cpu() for name, t in tensors.items()}, copy.deepcopy(facts)
        model = self._new_model()
        model.load_state_dict(trainer.trained_model.cpu().state_dict())
        self.model_: VAE = model.double().eval().requires_grad_(False)
        return self

    @property
    def _shape(self) -> Shape:
        """Of one row, as the model takes it."""
        return IMAGE if self.n_features_in_ == PIXELS**2 else (1, 1, self.n_features_in_)

    def _rows(self, X: npt.NDArray[np.floating]) -> Tensor:
        """Rows as the model sees them: standardised where they are to be, float64, shape (n_samples, *shape)."""
        rows = np.array(X, np.float64)
        if self.mean_ is not None and self.scale_ is not None:
            # By halves, since the difference of two finite numbers may be none.
            rows = (rows / 2 - self.mean_ / 2) / (self.scale_ / 2)
        return torch.from_numpy(rows).reshape(len(rows), *self._shape)

    def _in_units(self, rows: Array) -> Array:
        return rows if self.mean_ is None or self.scale_ is None else rows * self.scale_ + self.mean_

    def _by_parts(self, X: npt.NDArray[np.floating], compute: Callable[[Tensor], Tensor]) -> Array:
        with torch.no_grad():
            values: Array = torch.cat([compute(self._rows(part)) for part in _parts(X)]).numpy()
        return values

    def _refuse_outside(self, X: npt.NDArray[np.floating]) -> None:
        if self.likelihood_ == "bernoulli" and not (X.min() >= 0 and X.max() <= 1):
            raise InputError(
                "The model was fitted to values in [0, 1], and X has others, which its Bernoulli likelihood does not "
                "know; clip them, or fit to data that has them."
            )


def _parts(X: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    return (X[start : start + ROWS] for start in range(0, len(X), ROWS))


def _seed(random_state: Any, stream: str) -> int:
    """A seed by scikit-learn's rules: the same for an int at every call, the next one for a RandomState."""
    return stream_seed(int(check_random_state(random_state).randint(2**31 - 1)), stream)


def _moments(X: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, 1 where it is constant; of any finite values, without overflow."""
    peak = np.abs(X).max(0)
    peak[peak == 0] = 1
    mean = (X / peak).mean(0) * peak
    centred = X / 2 - mean / 2
    reach = np.abs(centred).max(0)
    reach[reach == 0] = 1
    scale = 2 * reach * np.sqrt(np.square(centred / reach).mean(0))
    scale[scale <= 10 * np.finfo(float).eps * peak] = 1  # constant, but for rounding
    return mean, scale
