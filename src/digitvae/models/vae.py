"""The one VAE class: a prior, an encoder, a decoder and a likelihood."""

from __future__ import annotations

import copy
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from digitvae.augmentation import LABELS
from digitvae.config import Config, ModelConfig
from digitvae.distributions import (
    Bernoulli,
    BernoulliLikelihood,
    DiagonalNormal,
    Distribution,
    FeatureLikelihood,
    NormalLikelihood,
    NormalMixture,
    StandardNormal,
)
from digitvae.errors import ConfigError
from digitvae.flows import FlowPrior
from digitvae.models.posterior import lattice_posterior
from digitvae.networks import DECODERS, ENCODERS, IMAGE, MLPDecoder, MLPEncoder, Shape, TorusBasis, one_hot

Prior = StandardNormal | NormalMixture | FlowPrior
"""What codes are drawn from before an image is seen."""


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2014) for images of shape (1, 28, 28).

    Args:
        prior: Distribution of codes before an image is seen.
        encoder: Images (batch, 1, 28, 28) to loc and log_var, each (batch, latent); None where the posterior is found
            by search (see `digitvae.models.posterior`), with a standard Normal prior of up to three dimensions.
        decoder: Codes (..., latent) to logits (..., 1, 28, 28).
        likelihood: Logits to a distribution over images.
        classes: Labels that prior and networks are conditioned on (Kingma et al., 2014; Sohn et al., 2015), 0 for none;
            `given` says for which image which.
        told: Values beside the label that say how an image was changed (see `digitvae.augmentation`), 0 for none;
            where `given` is not told them, images are as they are.
        contrast: What logits are multiplied by before an image is drawn.

    Attributes:
        recipe: What it was trained with, where it was read from a model folder; None else.

    >>> model = VAE.from_config(ModelConfig(encoder=(16,), decoder=(16,)), seed=0)
    >>> posterior = model.encode(torch.rand(3, 1, 28, 28))
    >>> posterior.loc.shape
    torch.Size([3, 2])
    >>> model.decode(posterior.sample()).mean.shape
    torch.Size([3, 1, 28, 28])
    """

    def __init__(
        self,
        prior: Prior,
        encoder: nn.Module | None,
        decoder: nn.Module,
        likelihood: BernoulliLikelihood | NormalLikelihood,
        classes: int = 0,
        told: int = 0,
        contrast: float = 1.0,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.told = told
        self.contrast = contrast
        self.label: Tensor | None = None
        self.recipe: Config | None = None
        # The digest of the weights as they were read, and what their folder says of them: see `checkpoint.facts_of`.
        self.read: tuple[str, dict[str, Any]] = ("", {})
        self.prior = prior
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood

    @classmethod
    def from_config(cls, config: ModelConfig, seed: int, shape: Shape = IMAGE) -> Self:
        """Build the model with initial weights drawn from `seed`; the global random state is left alone.

        With another `shape` than an image's it takes ``(batch, *shape)`` wherever images are spoken of.

        Raises:
            ConfigError: If the widths do not fit the network, or the network is made for images alone.
        """
        if shape != IMAGE and config.network == "conv":
            raise ConfigError("model.network conv is made for images of 28 x 28 pixels; take a recipe with mlp.")
        shaped: dict[str, Any] = {"shape": shape} if shape != IMAGE else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            prior = _prior(config)
            conditions = _conditions(config)
            conditioned = shaped | ({"classes": conditions} if conditions else {})
            encoder = (
                ENCODERS[config.network](config.latent_dim, config.encoder, config.activation, **conditioned)
                if config.posterior == "encoder"
                else None
            )
            decoder = DECODERS[config.network](
                config.latent_dim,
                config.decoder,
                config.activation,
                config.basis,
                config.frequency,
                config.dropout,
                **conditioned,
            )
        likelihood = BernoulliLikelihood() if config.likelihood == "bernoulli" else NormalLikelihood()
        told = LABELS if config.augmentation_labels else 0
        return cls(prior, encoder, decoder, likelihood, config.classes, told, config.contrast)

    def center(self, mean: Tensor) -> None:
        """Start from the mean training image, shape (1, 28, 28), where the networks can: it saves the first steps.

        The convolutional networks start as the original report's did. Features for a `FeatureLikelihood` have mean 0
        already.
        """
        if isinstance(self.likelihood, FeatureLikelihood):
            return
        for network in (self.encoder, self.decoder):
            if isinstance(network, MLPEncoder | MLPDecoder):
                network.center(mean)

    def given(self, label: Tensor | None) -> VAE:
        """The model, with the same weights, for images of these labels: int64, shape (batch,), or weights of the
        labels, which mix digits, shape (batch, classes), with or without the values that say how they were changed,
        (batch, classes + told).

        A model that is not conditioned on labels is the same for all. One that is told changes alone takes floating
        point, (told,): how all of the images were changed.
        """
        if not self.classes:
            if not self.told or label is None or not label.is_floating_point():
                return self
            other = copy.copy(self)
            other.label = label
            return other
        if self.told and label is not None:
            hot = label if label.is_floating_point() else nn.functional.one_hot(label, self.classes).float()
            label = nn.functional.pad(hot, (0, self.classes + self.told - hot.shape[-1]))
        other = copy.copy(self)
        other._modules = {**self._modules, "prior": self.prior.given(label)}
        other.label = label
        return other

    def part(self, index: slice) -> VAE:
        """The model for some of the images whose labels were given; where none have their own, the model itself."""
        return self if self.label is None or not self.classes else self.given(self.label[index])

    @property
    def latent_dim(self) -> int:
        """Number of latent dimensions."""
        return self.prior.latent_dim

    def encode(self, x: Tensor) -> DiagonalNormal:
        """The approximate posterior q(z given x) for images (batch, 1, 28, 28) in [0, 1]."""
        if self.encoder is None:
            return lattice_posterior(self.decode, cast(StandardNormal, self.prior), x)
        x = x.to(self.encoder.loc.weight.dtype)  # type: ignore[union-attr,arg-type]
        hot = one_hot(self.label, self.classes, x.flatten(1))
        loc, log_var = self.encoder(x) if hot is None else self.encoder(x, hot)
        return DiagonalNormal(_widen(loc), _widen(log_var))

    def decode(self, z: Tensor) -> Distribution:
        """The likelihood p(x given z) for codes (..., latent)."""
        hot = one_hot(self.label, self.classes, z)
        if self.told and not self.classes:
            hot = one_hot(z.new_zeros(self.told) if self.label is None else self.label, self.told, z)
        return self.likelihood(_widen(self.decoder(z) if hot is None else self.decoder(z, hot)))  # type: ignore[no-any-return]

    def draw(self, z: Tensor) -> Tensor:
        """The images that codes (..., latent) are drawn as, in [0, 1], shape (..., 1, 28, 28).

        They are the means of the likelihood where the contrast is 1.
        """
        likelihood = self.decode(z)
        if isinstance(likelihood, Bernoulli):
            return Bernoulli(self.contrast * likelihood.logits).mean
        return likelihood.mean

    def metric_codes(self, z: Tensor) -> Tensor:
        """Codes (..., latent) where Euclidean distance is nearness in the latent space's topology.

        On a torus each dimension becomes a point on a circle, (..., 2 * latent); else the codes are their own.
        """
        basis = self.decoder.basis
        return basis.on_circles(z) if isinstance(basis, TorusBasis) else z


def _prior(config: ModelConfig) -> Prior:
    if config.prior == "normal":
        return StandardNormal(config.latent_dim)
    if config.prior == "mixture":
        return NormalMixture(config.latent_dim, config.mixture_components)
    return FlowPrior(config.latent_dim, config.flow_layers, config.flow_width, _conditions(config))


def _conditions(config: ModelConfig) -> int:
    """Values that every part is told: one for each class, and how the image was changed."""
    return config.classes + (LABELS if config.augmentation_labels else 0)


def _widen(values: Tensor) -> Tensor:
    """Probabilities are never bfloat16: it has three digits, too few for sums over 784 pixels."""
    return values.float() if values.dtype == torch.bfloat16 else values
