"""What a run is asked to do: frozen dataclasses, read from and written to TOML.

A recipe is a TOML file with the tables ``[data]``, ``[model]`` and ``[training]``. An unknown table or key is an
error, so a typing mistake never becomes a silent default.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w

from digitvae.config.rules import check
from digitvae.errors import ConfigError

Binarization = Literal["none", "dynamic", "static"]


@dataclass(frozen=True)
class DataConfig:
    """Which digits, and what is done to them before the model sees them.

    Attributes:
        name: ``mnist``, ``mnist-5k`` (the real digits that come with the package) or the path of your own data.
        binarization: ``none`` (grey pixels), ``dynamic`` (each pixel drawn anew as 0 or 1 with its grey value as the
            probability) or ``static`` (drawn once, with a fixed seed).
        augmentation: Strength of the random affine changes of training digits; 0 is off, 1 is the full range given
            in `digitvae.augmentation`.
        augmentation_share: Share of the training digits of a step that are changed at all.
        augmentation_until: Share of all steps over which digits are changed; the rest see them as they are.
        train_on: ``training`` digits, or ``all``: those set apart for validation too. That is for a model whose
            settings have been chosen; its validation loss then says nothing.
    """

    name: str = "mnist"
    binarization: Binarization = "none"
    augmentation: float = 0.0
    augmentation_share: float = 1.0
    augmentation_until: float = 1.0
    train_on: Literal["training", "all"] = "training"


@dataclass(frozen=True)
class ModelConfig:
    """The parts of the VAE.

    Attributes:
        latent_dim: Number of latent dimensions.
        classes: Labels that the model is conditioned on, 10 for digits, 0 for none; the code then holds the style.
        augmentation_labels: Whether all parts are told how a digit was changed, as they are told its class: drawn as
            unchanged, digits are then as sharp and as centred as real ones (Karras et al., 2022, appendix F.2). Where
            the likelihood is integrated, all digits of a batch are changed alike, and the decoder is told.
        prior: ``normal`` (standard Normal), ``mixture`` (of Normals, learned) or ``flow`` (a Normal bent by coupling
            layers, learned; one for each class where the model is conditioned on it).
        likelihood: ``bernoulli`` or ``normal`` (one learned scale for all pixels).
        posterior: ``encoder`` (a network's) or ``lattice`` (found by search, without an encoder; see
            `digitvae.models.posterior`).
        network: ``mlp`` or ``conv``.
        encoder: Widths of the encoder. For ``mlp`` those of the hidden layers; for ``conv`` the filters of each
            convolution, then the width of the dense layer.
        decoder: Widths of the decoder. For ``mlp`` those of the hidden layers; for ``conv`` the filters of each
            transposed convolution.
        activation: ``relu``, ``leaky_relu``, ``silu``, ``gelu`` or ``tanh``.
        basis: What the decoder makes of codes first: ``none`` (nothing), ``sin`` (its first activation is the sine,
            after Sitzmann et al., 2020) or ``torus`` (waves over the quantiles of a standard Normal; see
            `digitvae.networks.TorusBasis`).
        frequency: Highest frequency of the ``torus`` basis: waves along each dimension.
        dropout: Share of the decoder's hidden units that are left out of each training step, for all codes alike.
        contrast: What logits are multiplied by before an image is drawn; the likelihood stays as it is. A mean over
            all digits that a code may stand for is greyer at the edges of strokes than any of them; above 1 makes up
            for that.
        mixture_components: Number of components of the ``mixture`` prior.
        flow_layers: Number of coupling layers of the ``flow`` prior.
        flow_width: Width of their hidden layers.
    """

    latent_dim: int = 2
    classes: int = 0
    augmentation_labels: bool = False
    prior: Literal["normal", "mixture", "flow"] = "normal"
    likelihood: Literal["bernoulli", "normal"] = "bernoulli"
    posterior: Literal["encoder", "lattice"] = "encoder"
    network: Literal["mlp", "conv"] = "mlp"
    encoder: tuple[int, ...] = (512, 256)
    decoder: tuple[int, ...] = (256, 512)
    activation: Literal["relu", "leaky_relu", "silu", "gelu", "tanh"] = "relu"
    basis: Literal["none", "sin", "torus"] = "none"
    frequency: int = 8
    dropout: float = 0.0
    contrast: float = 1.0
    mixture_components: int = 10
    flow_layers: int = 8
    flow_width: int = 128


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained.

    Attributes:
        epochs: Passes over the training digits.
        batch_size: Digits per step.
        learning_rate: The highest learning rate of the schedule.
        schedule: ``constant``, ``linear`` (to zero) or ``cosine`` (to zero); after the warm-up.
        warmup: Share of all steps over which the learning rate rises from 0.
        betas: Adam's two decay rates.
        epsilon: Adam's epsilon.
        weight_decay: AdamW's decoupled weight decay, on weight matrices only.
        clip: Largest norm of the gradient; a longer one is shortened to it. 0 is off.
        objective: ``elbo``, or ``quadrature`` (log p(x) itself, integrated over a lattice of codes; up to three latent
            dimensions; the encoder is fitted to the posterior beside it).
        lattice: Sizes of that lattice, each used for an equal share of the steps; in the plane Fibonacci numbers.
        basis_warmup: Share of all steps over which the waves of a ``torus`` basis are let in, low ones first.
        beta: Weight of the rate in the loss.
        beta_warmup: Share of all steps over which that weight rises from 0.
        average: Decay per step of the running average of the weights that is validated and kept; 0 is off.
        precision: ``float32``, ``bfloat16`` or ``auto`` (bfloat16 where the processor computes in it).
        patience: Epochs without a better validation loss after which training stops; 0 is never.
        snapshots: Epochs after which the weights are kept; empty means 20, 50, 80, 100 and 150, scaled to
            ``epochs`` where that is less than 150.
        seed: Seed of every random stream.
    """

    epochs: int = 150
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0
    objective: Literal["elbo", "quadrature"] = "elbo"
    lattice: tuple[int, ...] = (1597,)
    basis_warmup: float = 0.0
    beta: float = 1.0
    beta_warmup: float = 0.0
    average: float = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    patience: int = 0
    snapshots: tuple[int, ...] = ()
    seed: int = 0

    def snapshot_epochs(self) -> tuple[int, ...]:
        """The epochs after which weights are kept, in order; the last epoch is always one of them.

        >>> TrainingConfig().snapshot_epochs()
        (20, 50, 80, 100, 150)
        >>> TrainingConfig(epochs=15).snapshot_epochs()
        (2, 5, 8, 10, 15)
        >>> TrainingConfig(epochs=2).snapshot_epochs()
        (1, 2)
        """
        if self.snapshots:
            chosen = {epoch for epoch in self.snapshots if epoch <= self.epochs}
        else:
            share = min(1.0, self.epochs / 150)
            chosen = {max(1, round(epoch * share)) for epoch in (20, 50, 80, 100, 150)}
        return tuple(sorted(chosen | {self.epochs}))


@dataclass(frozen=True)
class Config:
    """A whole recipe: its name and one part for data, model and training.

    >>> Config().with_settings(["training.epochs=3", "model.encoder=[64]"]).training.epochs
    3
    """

    recipe: str = "map"
    description: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        check(self)

    def to_toml(self) -> str:
        """The recipe as TOML text that `Config.from_toml` reads back to an equal object."""
        return tomli_w.dumps(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The recipe as nested dictionaries of plain values, tuples as lists."""
        return {
            key: {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
            if isinstance(value, dict)
            else value
            for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_toml(cls, text: str, where: str = "the recipe") -> Config:
        """Read a recipe from TOML text; `where` names it in errors.

        Raises:
            ConfigError: If it is not TOML, or has an unknown key or a value of the wrong type or range.
        """
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where} is not valid TOML ({error}); mend that line.") from error
        return cls.from_dict(values, where)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the recipe") -> Config:
        """Build a recipe from nested dictionaries; `where` names it in errors.

        Raises:
            ConfigError: If there is an unknown key or a value of the wrong type or range.
        """
        parts: dict[str, Any] = {}
        for key, value in values.items():
            _known(key, _field_types(cls), where)
            if key in _PARTS:
                if not isinstance(value, Mapping):
                    raise ConfigError(f"{where}: [{key}] must be a table of settings.")
                types_of = _field_types(_PARTS[key])
                for name in value:
                    _known(name, types_of, f"{where}, [{key}]")
                converted = {n: _convert(v, types_of[n], f"{key}.{n}") for n, v in value.items()}
                parts[key] = _PARTS[key](**converted)
            else:
                parts[key] = _convert(value, str, key)
        return cls(**parts)

    def with_settings(self, settings: Iterable[str]) -> Config:
        """A copy with some settings changed, each given as ``table.key=value`` (the table may be left out).

        Values are written as in TOML; text needs no quotes.

        Raises:
            ConfigError: If a setting is unknown, or its value has the wrong type or range.
        """
        values = self.to_dict()
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise ConfigError(f"The setting '{setting}' has no value; write it as key=value.")
            table, key = _locate(name.strip())
            values[table][key] = _parse_value(text.strip())
        return Config.from_dict(values, "the settings")


_PARTS: dict[str, Any] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    folder = resources.files("digitvae") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_recipe(name: str) -> Config:
    """Load a recipe by its name, or from the path of a TOML file.

    Raises:
        ConfigError: If there is no such recipe (the nearest name is offered), or it cannot be read.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"There is no recipe file {path}.")
        try:
            return Config.from_toml(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read as text ({error}); restore it from a copy.") from error
    _known(name, recipe_names(), "recipes", "recipe")
    text = (resources.files("digitvae") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    return Config.from_toml(text, f"recipe {name}")


def _field_types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _known(name: str, allowed: Iterable[str], where: str, kind: str = "setting") -> None:
    allowed = list(allowed)
    if name in allowed:
        return
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(allowed)}."
    raise ConfigError(f"Unknown {kind} '{name}' in {where}; {hint}")


def _locate(name: str) -> tuple[str, str]:
    """The table and key of a setting such as ``training.epochs`` or, shorter, ``epochs``."""
    homes = {key: table for table, part in _PARTS.items() for key in _field_types(part)}
    table, dot, key = name.rpartition(".")
    if not dot:
        _known(key, homes, "the settings")
        return homes[key], key
    _known(table, _PARTS, "the settings")
    _known(key, _field_types(_PARTS[table]), f"[{table}]")
    return table, key


def _parse_value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # not TOML, or a number with too many digits, or lists in lists in lists
        return text
    return values["value"] if len(values) == 1 and not isinstance(values["value"], date | time) else text


def _convert(value: Any, wanted: Any, name: str) -> Any:
    """Check a TOML value against a field's type; numbers widen, lists become tuples."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        if value not in arguments:
            near = difflib.get_close_matches(str(value), arguments, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(arguments)}."
            raise ConfigError(f"{name} cannot be '{value}'; {hint}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} must be a list such as [1, 2], not {value!r}.")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise ConfigError(f"{name} must have {len(arguments)} values, not {len(value)}.")
        return tuple(_convert(v, arguments[0], name) for v in value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300:
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value}.")
    if wanted is str and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)  # a folder may be called 2024
    if (
        isinstance(wanted, types.UnionType)
        or not isinstance(value, wanted)
        or isinstance(value, bool) != (wanted is bool)
    ):
        kind = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}[wanted.__name__]
        raise ConfigError(f"{name} must be {kind}, not {value!r}.")
    return value
