"""What a recipe's settings may be, beyond their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitvae.errors import ConfigError

if TYPE_CHECKING:
    from digitvae.config import Config

QUADRATURE_DIMENSIONS = 3
"""Latent dimensions that can be integrated over: a fine enough lattice in more would be too large."""


def check(config: Config) -> None:
    """Raise `ConfigError` for values outside their range, or that do not go together."""
    model, training = config.model, config.training
    widths = model.encoder + model.decoder
    rules = [
        (training.epochs >= 1, f"training.epochs must be 1 or more, not {training.epochs}."),
        (training.batch_size >= 1, f"training.batch_size must be 1 or more, not {training.batch_size}."),
        (0 < training.learning_rate < float("inf"), "training.learning_rate must be above 0."),
        (all(0 <= b < 1 for b in training.betas), "training.betas must be from 0 up to 1."),
        (training.epsilon > 0, "training.epsilon must be above 0."),
        (0 <= training.warmup < 1, "training.warmup must be from 0 up to 1."),
        (0 <= training.beta_warmup <= 1, "training.beta_warmup must be between 0 and 1."),
        (0 <= training.basis_warmup <= 1, "training.basis_warmup must be between 0 and 1."),
        (0 <= training.average < 1, "training.average must be from 0 up to 1."),
        (training.weight_decay >= 0, "training.weight_decay must be 0 or more."),
        (training.clip >= 0, "training.clip must be 0 or more."),
        (training.beta >= 0, "training.beta must be 0 or more."),
        (training.patience >= 0, "training.patience must be 0 or more."),
        (0 <= training.seed < 2**63, "training.seed must be a whole number from 0 to 2^63 - 1."),
        (all(s >= 1 for s in training.snapshots), "training.snapshots must be epochs from 1 on."),
        (0 <= config.data.augmentation <= 1, "data.augmentation must be between 0 and 1."),
        (0 <= config.data.augmentation_share <= 1, "data.augmentation_share must be between 0 and 1."),
        (0 <= config.data.augmentation_until <= 1, "data.augmentation_until must be between 0 and 1."),
        (1 <= model.latent_dim <= 512, f"model.latent_dim must be 1 to 512, not {model.latent_dim}."),
        (
            training.objective == "elbo" or model.latent_dim <= QUADRATURE_DIMENSIONS,
            f"training.objective quadrature needs model.latent_dim up to {QUADRATURE_DIMENSIONS}.",
        ),
        (
            training.objective == "elbo" or (training.beta == 1 and training.beta_warmup == 0),
            "training.objective quadrature needs training.beta 1 and training.beta_warmup 0: it has but one term.",
        ),
        (
            model.posterior == "encoder" or (training.objective == "quadrature" and model.prior == "normal"),
            "model.posterior lattice needs training.objective quadrature and model.prior normal.",
        ),
        (
            bool(training.lattice) and all(1 <= m <= 10_000_000 for m in training.lattice),
            "training.lattice must hold sizes of 1 to 10,000,000.",
        ),
        (0 <= model.dropout < 1, "model.dropout must be from 0 up to 1."),
        (0 < model.contrast <= 10, "model.contrast must be above 0 and up to 10."),
        (
            model.contrast == 1 or model.likelihood == "bernoulli",
            "model.contrast other than 1 needs model.likelihood bernoulli.",
        ),
        (1 <= model.frequency <= 32, "model.frequency must be 1 to 32."),
        (model.basis != "torus" or model.latent_dim <= 3, "model.basis torus needs model.latent_dim up to 3."),
        (1 <= model.mixture_components <= 10_000, "model.mixture_components must be 1 to 10,000."),
        (model.classes in (0, 10), f"model.classes must be 0 or 10, not {model.classes}."),
        (
            model.classes == 0 or (model.network == "mlp" and training.objective == "elbo"),
            "model.classes above 0 needs model.network mlp and training.objective elbo.",
        ),
        (
            not model.augmentation_labels
            or model.classes > 0
            or (training.objective == "quadrature" and model.posterior == "lattice" and model.network == "mlp"),
            "model.augmentation_labels needs model.classes 10, or training.objective quadrature with model.posterior "
            "lattice and model.network mlp.",
        ),
        (model.prior != "flow" or model.latent_dim >= 2, "model.prior flow needs two latent dimensions or more."),
        (1 <= model.flow_layers <= 64, "model.flow_layers must be 1 to 64."),
        (1 <= model.flow_width <= 4096, "model.flow_width must be 1 to 4096."),
        (
            model.network != "conv" or training.batch_size >= 2,
            "training.batch_size must be 2 or more with a conv network: its batch normalisation compares images.",
        ),
        (
            all(1 <= w <= 16384 for w in widths),
            "The widths in model.encoder and model.decoder must be 1 to 16384.",
        ),
    ]
    for holds, message in rules:
        if not holds:
            raise ConfigError(message)
