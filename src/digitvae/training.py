"""The one training loop: digits in memory as uint8, batches by index, seeded streams, exact resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from digitvae.augmentation import changed_at_random
from digitvae.config import Config
from digitvae.errors import ConfigError, DataError, RunError, TrainingDivergedError
from digitvae.images import unit_range
from digitvae.lattice import lattice
from digitvae.models.vae import VAE
from digitvae.networks import PIXELS, TorusBasis, UnitDropout
from digitvae.objective import Terms, elbo_terms, encoder_terms, quadrature_terms
from digitvae.optimization import (
    WorkingCopy,
    default_device,
    make_average,
    make_optimizer,
    matrix_products,
    resolve_precision,
    schedule,
)
from digitvae.processes import ALONE, Team
from digitvae.validation import Sums, evaluate_terms, share_statistics

STREAMS = ("shuffle", "latent", "binarization", "augmentation", "lattice", "dropout")
"""Random streams that training draws from; initial weights and validation noise have seeds of their own."""

EXPLODED = 1e5
"""A loss per image above this, in nats, is called exploding: an untrained model is at about 550. More features than an
image has pixels may have more."""


def stream_seed(seed: int, name: str) -> int:
    """The seed of one named random stream of a run: streams of one run, and of two runs, are unrelated."""
    state = np.random.SeedSequence([seed, *name.encode()]).generate_state(1, np.uint64)
    return int(state[0]) >> 1


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: Finished epochs.
        step: Batches done in the epoch under way.
        schedule_start: Finished epochs when the present learning-rate schedule began.
        best_loss: Lowest validation loss so far, in nats per image.
        best_epoch: The epoch that had it.
        epoch_seconds: Seconds spent in the epoch under way, or in the last one where none is.
        sums: Training terms of that epoch.
    """

    epoch: int = 0
    step: int = 0
    schedule_start: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    epoch_seconds: float = 0.0
    sums: Sums = field(default_factory=Sums)


class Trainer:
    """A model, its optimiser and its random streams, trained epoch by epoch.

    Args:
        config: The recipe.
        train: Training images, uint8, or floating point as the model is to see them; shape (n, 28, 28).
        validation: Validation images, likewise.
        device: Where to compute; the accelerator where left out and there is one.
        labels: Of the training and of the validation images, uint8, shape (n,); needed where the recipe's model is
            conditioned on them.
        model: The model to train, for images of another shape too; built from the recipe where left out.
        team: The processes that train it together; this one alone where left out.

    Raises:
        DataError: If there are fewer than two training images or no validation images, or labels are needed and
            missing.
        InputError: If the recipe's lattice cannot be one.

    >>> digits = np.zeros((8, 28, 28), np.uint8)
    >>> trainer = Trainer(Config().with_settings(["epochs=1", "encoder=[8]", "decoder=[8]"]), digits, digits)
    >>> trainer.train_epoch()
    True
    >>> sorted(trainer.validate())
    ['distortion', 'loss', 'rate', 'rate_per_dimension']
    """

    def __init__(
        self,
        config: Config,
        train: np.ndarray,
        validation: np.ndarray,
        device: torch.device | None = None,
        labels: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
        model: VAE | None = None,
        team: Team = ALONE,
    ) -> None:
        if len(train) < 2 or len(validation) < 1:
            raise DataError("Training needs at least two training digits and one to validate.")
        if config.model.classes and any(each is None for each in labels):
            raise DataError("A model with model.classes above 0 needs labelled digits, and these have no labels.")
        _check_team(config, len(train), team)
        self.config, self.team = config, team
        self.device = device or default_device()
        self.precision = resolve_precision(config.training.precision, self.device)
        settings = config.training
        # Built on the CPU, so that initial weights do not depend on the device.
        self.model = model or VAE.from_config(config.model, stream_seed(settings.seed, "weights"))
        self.train_images = torch.from_numpy(np.ascontiguousarray(train)).unsqueeze(1)
        self.validation_images = torch.from_numpy(np.ascontiguousarray(validation)).unsqueeze(1)
        if config.data.binarization == "static":
            self.train_images = _binarize_once(self.train_images, "static-train")
        if config.data.binarization != "none":
            self.validation_images = _binarize_once(self.validation_images, "static-validation")
        self.model.center(_mean_image(self.train_images))
        self.train_images = self.train_images.to(self.device)
        self.validation_images = self.validation_images.to(self.device)
        self.train_labels, self.validation_labels = (
            None if each is None else torch.from_numpy(each.astype(np.int64)).to(self.device) for each in labels
        )
        self.model.to(self.device)
        if settings.objective == "quadrature":
            for size in settings.lattice:
                lattice(size, config.model.latent_dim)  # refuses what cannot be one before anything is written
        self.optimizer = make_optimizer(self.model, settings, self.device)
        self.averaged = make_average(self.model, settings.average)
        self.working = WorkingCopy(self.model, torch.bfloat16 if self.precision == "bfloat16" else torch.float32)
        self.streams = {name: torch.Generator(self.device) for name in STREAMS}
        for name, generator in self.streams.items():
            generator.manual_seed(stream_seed(settings.seed, name))
        for part in self.working.model.modules():
            if isinstance(part, UnitDropout):
                part.generator = self.streams["dropout"]
        self.progress = Progress()
        self.learning_rate, self.beta = 0.0, 0.0  # as they were in the last step
        self.order = torch.empty(0, dtype=torch.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the last may be short."""
        full, rest = divmod(len(self.train_images), self.config.training.batch_size)
        return full + (rest > 1)

    @property
    def trained_model(self) -> VAE:
        """The model that is validated and kept: the running average where the recipe asks for one."""
        return self.model if self.averaged is None else cast(VAE, self.averaged.module)

    def train_epoch(self, stop: Callable[[], bool] | None = None) -> bool:
        """Train to the end of the epoch under way.

        Args:
            stop: Asked after each step; the epoch is left in the middle where it answers True.

        Returns:
            Whether the epoch was finished.

        Raises:
            TrainingDivergedError: If a term of the loss is not finite, or explodes.
        """
        settings, progress = self.config.training, self.progress
        if progress.step == 0:
            progress.sums, progress.epoch_seconds = Sums(), 0.0
            self.order = torch.randperm(len(self.train_images), generator=self.streams["shuffle"], device=self.device)
        self.working.model.train()
        began = time.perf_counter()
        try:
            while progress.step < self.steps_per_epoch:
                start = progress.step * settings.batch_size
                last = progress.step == self.steps_per_epoch - 1
                self._train_step(self.order[start : None if last else start + settings.batch_size])
                progress.step += 1
                if stop is not None and self.team.any(stop()) and progress.step < self.steps_per_epoch:
                    return False
        finally:
            progress.epoch_seconds += time.perf_counter() - began
        for model in dict.fromkeys((self.model, self.trained_model)):  # in the same order in all processes
            share_statistics(model, self.team)
        progress.epoch += 1
        progress.step = 0
        return True

    def _train_step(self, index: Tensor) -> None:
        self.learning_rate, self.beta = self.scheduled()
        self._let_in_waves()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        images, label = self._training_batch(index)
        with matrix_products(self.precision):
            terms = self._backward(self.working.model.given(label), images)
        self.working.hand_over_gradients()
        summed = [terms.loss(self.beta), terms.rate, terms.distortion]
        totals = torch.stack([each.detach().float() for each in summed]).sum(1)
        if self.team.size > 1:
            self.team.add_up([*(p.grad for p in self.model.parameters() if p.grad is not None), totals])
        if self.config.training.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.training.clip)
        self.optimizer.step()
        self.working.refresh()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        self._check(totals.tolist(), len(index))
        self.progress.sums.add(len(index), *totals.tolist())

    def _backward(self, model: VAE, images: Tensor) -> Terms:
        """Compute the terms of a batch and leave the gradients of its mean loss in the model, the working copy.

        Where several processes train, they are those of this process's part of the batch, and its part of the mean.
        """
        n = len(images)
        noise = torch.randn(n, model.latent_dim, generator=self.streams["latent"], device=self.device)
        if self.team.size > 1:
            part = self.team.part(n)
            model, images, noise = model.part(part), images[part], noise[part]

        def mean_of(terms: Terms) -> Tensor:
            loss = terms.loss(self.beta)
            return loss.mean() if self.team.size == 1 else loss.sum() / n

        if self.config.training.objective == "elbo":
            terms = elbo_terms(model, images, noise)
            mean = mean_of(terms)
        else:
            terms = quadrature_terms(model, images, self._lattice(self._lattice_size(), self.streams["lattice"]))
            mean = mean_of(terms)
            if model.encoder is not None:
                # It has no part in that; it is fitted beside it to the posterior of the decoder as it stands.
                mean = mean + mean_of(encoder_terms(model, images, noise))
        mean.backward()  # type: ignore[no-untyped-call]
        return terms

    def _let_in_waves(self) -> None:
        rising = self.config.training.basis_warmup
        share = self._done() / rising if rising else 1.0
        for model in {self.model, self.trained_model}:
            if isinstance(model.decoder.basis, TorusBasis):
                model.decoder.basis.let_in(share)

    def _done(self) -> float:
        """The share of all steps that are done; 1 where the plan has been lengthened: nothing is taken back then."""
        if self.progress.schedule_start:
            return 1.0
        steps = self.progress.epoch * self.steps_per_epoch + self.progress.step
        return steps / (self.config.training.epochs * self.steps_per_epoch)

    def _lattice(self, size: int, generator: torch.Generator) -> Tensor:
        """A lattice of `size` points, shifted at random."""
        shift = torch.rand(self.model.latent_dim, generator=generator, device=self.device)
        return lattice(size, self.model.latent_dim, shift.cpu()).to(self.device)

    def _lattice_size(self) -> int:
        """The size for the step under way: each of the recipe's sizes has an equal share of the steps."""
        sizes = self.config.training.lattice
        return sizes[min(int(self._done() * len(sizes)), len(sizes) - 1)]

    def _training_batch(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images, and the labels that the model is given for them."""
        data, told = self.config.data, self.config.model.augmentation_labels
        images = unit_range(self.train_images[index])
        label = None if self.train_labels is None else self.train_labels[index]
        if data.augmentation and self._done() <= data.augmentation_until:
            alike = told and not self.config.model.classes  # a lattice is decoded once for all digits of a batch
            images, how = changed_at_random(images, data, self.streams["augmentation"], told, alike)
            if alike:
                label = how[0]
            elif told and label is not None:
                label = torch.cat([nn.functional.one_hot(label, self.config.model.classes), how], 1)
        if self.config.data.binarization == "dynamic":
            images = torch.bernoulli(images, generator=self.streams["binarization"])
        return images, label

    def scheduled(self) -> tuple[float, float]:
        """The learning rate and the weight of the rate at the step under way."""
        settings, progress = self.config.training, self.progress
        total = (settings.epochs - progress.schedule_start) * self.steps_per_epoch
        step = (progress.epoch - progress.schedule_start) * self.steps_per_epoch + progress.step
        rate = settings.learning_rate * schedule(settings.schedule, settings.warmup, step, total)
        rising = settings.beta_warmup * total
        beta = settings.beta
        if progress.schedule_start == 0 and step < rising:
            beta *= step / rising
        return rate, beta

    def _check(self, totals: list[float], images: int) -> None:
        loss, rate, distortion = totals
        most = EXPLODED * images * max(1.0, self.train_images[0].numel() / PIXELS**2)
        for name, total in (("rate", rate), ("distortion", distortion), ("loss", loss)):
            if not math.isfinite(total) or abs(total) > most:
                what = "is not finite" if not math.isfinite(total) else "explodes"
                where = f"epoch {self.progress.epoch + 1}, step {self.progress.step + 1}"
                raise TrainingDivergedError(
                    f"The {name} {what} at {where}: {total / images:.4g} nats per image; lower "
                    f"training.learning_rate (now {self.config.training.learning_rate:g}), lengthen "
                    "training.warmup, or set training.precision to float32."
                )

    def validate(self) -> dict[str, Any]:
        """Mean loss, rate and distortion of the validation digits, in nats, and the rate of each dimension.

        Computed in float32 with the same latent noise or lattice (the largest of the recipe's) at every call, by the
        same function as in training. The loss has the recipe's beta, without its warm-up.
        """
        settings = self.config.training
        seed, batch, u = stream_seed(settings.seed, "validation"), 500, None
        if settings.objective == "quadrature":
            batch, u = 2000, self._lattice(max(settings.lattice), torch.Generator(self.device).manual_seed(seed))
        images, label = self.validation_images, self.validation_labels
        return evaluate_terms(self.trained_model, images, settings.beta, seed, batch, u, label, self.team)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that is needed to go on bit for bit: tensors and JSON facts."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged is not None:
            tensors |= {f"average.{k}": v for k, v in self.averaged.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in values.items()}
        tensors |= {f"stream.{k}": g.get_state() for k, g in self.streams.items()}
        if self.progress.step:
            tensors["order"] = self.order
        facts = dict(vars(self.progress), sums=dict(vars(self.progress.sums)))
        return {k: v.detach().clone() for k, v in tensors.items()}, facts

    def load_state(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take up what `state` gave.

        Raises:
            RunError: If the state belongs to another recipe, or to another kind of device.
        """
        try:
            self.model.load_state_dict(_part(tensors, "model"))
            self.working.refresh()
            if self.averaged is not None:
                self.averaged.load_state_dict(_part(tensors, "average"))
            optimizer = self.optimizer.state_dict()
            for name, value in _part(tensors, "optimizer").items():
                index, key = name.split(".")
                optimizer["state"].setdefault(int(index), {})[key] = value
            self.optimizer.load_state_dict(optimizer)
            for parameter, values in self.optimizer.state.items():
                for key, value in values.items():
                    if value.shape == parameter.shape:
                        # The fused optimiser walks through memory: moments must lie in it as the weights do.
                        values[key] = torch.empty_like(parameter).copy_(value)
            for name, generator in self.streams.items():
                if name == "dropout" and "stream.dropout" not in tensors:
                    continue  # runs of before there was dropout have no stream for it, and need none
                kept = tensors[f"stream.{name}"].cpu()
                if kept.shape != generator.get_state().shape:
                    raise RunError(f"The run is of another kind of device than {self.device.type}: go on there.")
                generator.set_state(kept)
            progress = Progress(**{**facts, "sums": Sums(**facts["sums"])})
            numbers = (*vars(progress.sums).values(), *(v for k, v in vars(progress).items() if k != "sums"))
            if not all(isinstance(each, int | float) for each in numbers):
                raise TypeError("Progress is kept as numbers.")
            self.progress = progress
            self.order = tensors["order"] if self.progress.step else self.order
        except RunError:
            raise
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise RunError("The saved training state belongs to another recipe; start a new run.") from error


def _check_team(config: Config, n: int, team: Team) -> None:
    """Refuse parts of a batch that batch normalisation cannot work with: it compares images."""
    batch = config.training.batch_size
    smallest = n % batch if n % batch > 1 else min(n, batch)
    if config.model.network == "conv" and team.size > 1 and smallest // team.size < 2:
        raise ConfigError(
            f"Of a batch of {smallest} digits each of {team.size} processes must get two or more with a conv network; "
            "change training.batch_size or take fewer processes."
        )


def _binarize_once(images: Tensor, name: str) -> Tensor:
    """Each pixel 0 or 255, drawn with its grey value as the probability and a seed that never changes."""
    generator = torch.Generator().manual_seed(stream_seed(0, name))
    parts = [
        torch.bernoulli(unit_range(part), generator=generator).mul(255).byte() for part in torch.split(images, 4096)
    ]
    return torch.cat(parts)


def _mean_image(images: Tensor) -> Tensor:
    """Mean of at most 4,096 images, in [0, 1], shape (1, 28, 28): more change it by less than a grey level."""
    return images[:4096].float().mean(0) / (255 if images.dtype == torch.uint8 else 1)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
