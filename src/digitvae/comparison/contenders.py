"""Who takes part: VAEs and GANs that are trained for some seconds, and generators that need no training."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from digitvae.adversarial import GANTrainer
from digitvae.config import Config, load_recipe
from digitvae.data import Digits, Splits
from digitvae.evaluation.rivals import class_means, pca_gaussian
from digitvae.generation import decode_images, encode_images, sample
from digitvae.models.gan import GANS, GANConfig
from digitvae.models.vae import VAE
from digitvae.training import Trainer

PROBE_STEPS = 30
"""Steps that are timed, after a few to warm up, to see how many epochs the budget holds."""

SEARCH_STEPS = 200
"""Steps of the search for the noise that draws a given digit."""


class Contender(ABC):
    """What the contest needs of everyone.

    Attributes:
        title: What tables call it.
        kind: ``vae``, ``gan``, ``trivial`` or ``floor``.
        parameters: Trained numbers that draw digits: decoder and prior, or generator.
        labelled: Whether it draws the digit that it is asked for.
        seconds: Seconds of training so far.
        epochs: Passes over the training digits so far.
    """

    title: str
    kind: str
    parameters: int = 0
    labelled: bool = True
    seconds: float = 0.0
    epochs: float = 0.0

    @abstractmethod
    def train(self, seconds: float) -> None:
        """Go on with training until `seconds` have been spent on it in all.

        Raises:
            TrainingDivergedError: If a loss is not finite, or explodes.
        """

    @abstractmethod
    def draw(self, n: int, seed: int) -> Digits:
        """Draw `n` digits, 0, 1, ... 9 in turn where it can be asked for them; labels are None where it cannot."""


class Coder(ABC):
    """A contender that has codes: real digits become codes, and codes become digits. Codes have shape (n, latent)."""

    @abstractmethod
    def encode(self, digits: Digits) -> Tensor:
        """Codes of real digits, whose labels are known."""

    @abstractmethod
    def decode(self, codes: Tensor, labels: np.ndarray) -> Tensor:
        """Images in [0, 1] of codes, shape (n, 1, 28, 28)."""

    @abstractmethod
    def coded(self, digits: Digits) -> tuple[Tensor, Tensor]:
        """Codes and their images, to learn from what a direction means; a model without encoder draws its own."""


class VAEContender(Contender, Coder):
    """A recipe of the house, with as many epochs as the budget holds, so that its schedule comes to its end."""

    kind = "vae"

    def __init__(self, config: Config, splits: Splits, budget: float, seed: int) -> None:
        self.title = f"VAE, recipe {config.recipe}"
        config = config.with_settings([f"seed={seed}"])
        per_step = _seconds_per_step(_trainer(config, splits))
        self._trainer = _trainer(config, splits)
        holds = budget / (per_step * self._trainer.steps_per_epoch)
        epochs = min(config.training.epochs, max(1, int(holds)))
        self._trainer = _trainer(config.with_settings([f"epochs={epochs}"]), splits)
        model = self._trainer.model
        self.parameters = _count(model.decoder) + _count(model.prior)
        self.labelled = bool(model.classes)

    @property
    def model(self) -> VAE:
        """The model as it stands: the running average where the recipe asks for one."""
        return self._trainer.trained_model

    def train(self, seconds: float) -> None:
        """See `Contender.train`; it ends sooner where all epochs are done."""
        trainer = self._trainer
        while self.seconds < seconds and trainer.progress.epoch < trainer.config.training.epochs:
            self.seconds += _timed(trainer.train_epoch, seconds - self.seconds)
        self.epochs = trainer.progress.epoch + trainer.progress.step / trainer.steps_per_epoch

    def draw(self, n: int, seed: int) -> Digits:
        """See `Contender.draw`: what codes drawn from the prior are drawn as."""
        labels = _in_turn(n) if self.labelled else None
        return _digits(sample(self.model, n, torch.Generator().manual_seed(seed), labels).images, labels)

    def encode(self, digits: Digits) -> Tensor:
        """See `Coder.encode`: posterior means."""
        return encode_images(self.model, digits.images, labels=digits.labels if self.labelled else None).loc

    def decode(self, codes: Tensor, labels: np.ndarray) -> Tensor:
        """See `Coder.decode`."""
        return decode_images(self.model, codes, labels=labels if self.labelled else None)

    def coded(self, digits: Digits) -> tuple[Tensor, Tensor]:
        """See `Coder.coded`: the digits given."""
        return self.encode(digits), torch.from_numpy(digits.images).unsqueeze(1).float() / 255


class GANContender(Contender, Coder):
    """A GAN. It has no encoder: the code of a real digit is searched for, by descent on the squared error."""

    kind = "gan"

    def __init__(self, title: str, config: GANConfig, splits: Splits, budget: float, seed: int) -> None:
        self.title, self._budget = title, budget
        self._trainer = GANTrainer(config, splits.train.images, splits.train.labels, seed)
        self.parameters = _count(self._trainer.generator)

    def train(self, seconds: float) -> None:
        """See `Contender.train`."""
        trainer = self._trainer
        while self.seconds < seconds:
            before, began = self.seconds, time.perf_counter()

            def stop(before: float = before, began: float = began) -> bool:
                spent = before + time.perf_counter() - began
                trainer.share = min(1.0, spent / self._budget)
                return spent >= seconds

            trainer.train_epoch(stop)
            self.seconds = before + time.perf_counter() - began
        self.epochs = trainer.epoch + trainer.step / trainer.steps_per_epoch

    def draw(self, n: int, seed: int) -> Digits:
        """See `Contender.draw`."""
        labels = _in_turn(n)
        return _digits(self._trainer.draw(labels, torch.Generator().manual_seed(seed)), labels)

    def encode(self, digits: Digits) -> Tensor:
        """See `Coder.encode`; the search takes `SEARCH_STEPS` steps from noise of zeros."""
        network, device = self._trainer.trained_generator.eval(), self._trainer.device
        wanted = torch.from_numpy(digits.images).unsqueeze(1).float().div(255).to(device)
        label = torch.from_numpy(np.asarray(digits.labels).astype(np.int64)).to(device)
        noise = torch.zeros(len(wanted), network.latent_dim, device=device, requires_grad=True)
        optimizer = torch.optim.Adam([noise], 0.1)
        for _ in range(SEARCH_STEPS):
            error = (network(noise, label) - wanted).square().sum()
            (noise.grad,) = torch.autograd.grad(error, noise)
            optimizer.step()
        return noise.detach().cpu()

    def decode(self, codes: Tensor, labels: np.ndarray) -> Tensor:
        """See `Coder.decode`."""
        return self._trainer.decode(codes, labels)

    def coded(self, digits: Digits) -> tuple[Tensor, Tensor]:
        """See `Coder.coded`: as many digits of its own, of the same classes."""
        noise = torch.randn(len(digits), self._trainer.config.latent_dim, generator=torch.Generator().manual_seed(0))
        return noise, self.decode(noise, np.asarray(digits.labels))


class TrivialContender(Contender):
    """A generator that is fitted in a moment (`digitvae.evaluation.rivals`)."""

    kind = "trivial"

    def __init__(self, title: str, draw: Callable[[int, int], Digits], parameters: int) -> None:
        self.title, self.parameters, self._draw = title, parameters, draw

    def train(self, seconds: float) -> None:
        """Nothing to do: it is fitted as it draws."""

    def draw(self, n: int, seed: int) -> Digits:
        """See `Contender.draw`."""
        return self._draw(n, seed)


class Floor(Contender):
    """Real training digits: what no generator can be expected to beat."""

    title, kind = "real digits", "floor"

    def __init__(self, splits: Splits) -> None:
        self._digits = splits.train

    def train(self, seconds: float) -> None:
        """Nothing to do."""

    def draw(self, n: int, seed: int) -> Digits:
        """See `Contender.draw`: the last `n` training digits, or all, in their own order whatever the seed."""
        return self._digits.subset(slice(-n, None))


Maker = Callable[[Splits, float, int], Contender]
"""Makes a contender, untrained, for some digits, seconds of training and a seed."""


def _recipe(name: str, *settings: str) -> Maker:
    return lambda splits, budget, seed: VAEContender(load_recipe(name).with_settings(settings), splits, budget, seed)


def _gan(name: str, title: str) -> Maker:
    return lambda splits, budget, seed: GANContender(title, GANS[name], splits, budget, seed)


CONTENDERS: Mapping[str, Maker] = MappingProxyType(
    {
        # As shipped its prior is half as wide; so it draws with as many parameters as the others.
        "studio": _recipe("studio", "flow_width=256"),
        "map": _recipe("map"),
        "gan": _gan("gan", "GAN, relativistic"),
        "gan-classic": _gan("gan-classic", "GAN, classic"),
        "pca": lambda splits, budget, seed: TrivialContender(
            "PCA Gaussian of each class", lambda n, draw: pca_gaussian(splits.train, n, draw), 10 * 51 * 784
        ),
        "means": lambda splits, budget, seed: TrivialContender(
            "class means", lambda n, draw: class_means(splits.train, n), 10 * 784
        ),
        "real": lambda splits, budget, seed: Floor(splits),
    }
)
"""Everyone who may take part, by the name that ``--models`` takes."""

TRAINED = ("vae", "gan")
"""The kinds that are trained for their seconds; the trivial rivals and real digits are not."""

FLOOR = "real"
BASELINE = "pca"


def _trainer(config: Config, splits: Splits) -> Trainer:
    train, validation = splits.train, splits.validation
    return Trainer(config, train.images, validation.images, labels=(train.labels, validation.labels))


def _seconds_per_step(trainer: Trainer) -> float:
    """How long a step takes, from a trainer that is thrown away."""
    left = PROBE_STEPS // 3

    def done() -> bool:
        nonlocal left
        left -= 1
        return left <= 0

    trainer.train_epoch(done)
    left = PROBE_STEPS
    before = trainer.progress.step
    began = time.perf_counter()
    trainer.train_epoch(done)
    after = trainer.progress.step or trainer.steps_per_epoch
    return (time.perf_counter() - began) / max(1, after - before)


def _timed(train_epoch: Callable[[Callable[[], bool]], bool], seconds: float) -> float:
    """Train for some seconds, or to the end of the epoch; returns the seconds that it took."""
    began = time.perf_counter()
    train_epoch(lambda: time.perf_counter() - began >= seconds)
    return time.perf_counter() - began


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _in_turn(n: int) -> np.ndarray:
    return (np.arange(n) % 10).astype(np.uint8)


def _digits(images: Tensor, labels: np.ndarray | None) -> Digits:
    return Digits(images.squeeze(1).mul(255).round().byte().numpy(), labels)
