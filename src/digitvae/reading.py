"""Readers of digits: how they are trained, and the two that come with the package, frozen.

Three separate networks judge generated digits, so that none is asked about its own taste: the frozen reader labels
them, the feature network measures distances between sets of them (FID-digit and its kin), and a classifier is trained
on them anew each time. The first two were trained on MNIST's first 48,000 training digits before any model was judged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from digitvae.augmentation import augment
from digitvae.checkpoint import load_state, save_state
from digitvae.errors import InputError, RunError
from digitvae.images import as_images, unit_range
from digitvae.models.reader import Reader
from digitvae.optimization import default_device, matrix_products, resolve_precision, schedule


@dataclass(frozen=True)
class ReaderRecipe:
    """How a reader is built and trained: AdamW, cross-entropy, linear warm-up over a fifth of the steps, then to zero.

    Attributes:
        widths: Filters of its convolutions.
        features: Width of its layer of features.
        epochs: Passes over the digits.
        batch_size: Digits per step.
        learning_rate: The highest.
        weight_decay: AdamW's.
        augmentation: Strength of random affine changes (see `digitvae.augmentation`).
    """

    widths: tuple[int, ...]
    features: int
    epochs: int
    batch_size: int = 250
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    augmentation: float = 0.0


READER = ReaderRecipe(widths=(32, 64, 128), features=128, epochs=12, augmentation=0.5)
"""The frozen reader: as good as it is made easily."""

FEATURES = ReaderRecipe(widths=(16, 32, 64), features=96, epochs=6)
"""The feature network of FID-digit."""

CLASSIFIER = ReaderRecipe(widths=(16, 32, 64), features=128, epochs=6)
"""The fixed classifier of the classification accuracy score."""

FROZEN = {"reader": READER, "features": FEATURES}
"""The networks that come with the package, trained by `python -m benchmarks.readers`."""


def train_reader(
    images: Tensor | np.ndarray,
    labels: np.ndarray,
    recipe: ReaderRecipe,
    seed: int,
    notify: Callable[[str], None] = lambda text: None,
    order: Tensor | None = None,
) -> Reader:
    """Train a reader; the same seed gives the same weights on the same machine.

    Args:
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 or floating point in [0, 1].
        labels: Their digits, 0 to 9, shape (n,).
        recipe: How.
        seed: Seed of weights, order and augmentation.
        notify: Told the epoch.
        order: Positions of the digits of each step, int64, shape (steps, batch); the recipe's epochs, shuffled, where
            left out.

    Returns:
        The reader, in evaluation mode, on the CPU.

    Raises:
        InputError: If images and labels do not go together, or there are fewer than two.
    """
    pixels = as_images(images)
    if len(pixels) < 2 or labels.shape != (len(pixels),) or labels.min() < 0 or labels.max() > 9:
        raise InputError("A reader needs two images or more, each with its digit from 0 to 9.")
    device = default_device()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(recipe.widths, recipe.features).to(device)
    pixels, truth = pixels.to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    optimizer = torch.optim.AdamW(
        reader.parameters(), weight_decay=recipe.weight_decay, fused=device.type in ("cpu", "cuda")
    )
    generator = torch.Generator(device).manual_seed(seed)
    batches, steps = _epochs(len(pixels), recipe, generator, notify)
    if order is not None:
        batches, steps = iter(order.to(device)), len(order)
    precision = resolve_precision("auto", device)
    reader.train()
    for step, index in enumerate(batches):
        x = unit_range(pixels[index])
        if recipe.augmentation:
            x = augment(x, recipe.augmentation, generator)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule("linear", 0.2, step, steps)
        optimizer.zero_grad()
        with matrix_products(precision):
            loss = F.cross_entropy(reader(x.contiguous(memory_format=torch.channels_last)), truth[index])
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return reader.eval().cpu()


def _epochs(
    n: int, recipe: ReaderRecipe, generator: torch.Generator, notify: Callable[[str], None]
) -> tuple[Iterator[Tensor], int]:
    """Positions of the digits of each step, as they are asked for, and the number of steps."""
    steps = max(1, n // recipe.batch_size)

    def batches() -> Iterator[Tensor]:
        for epoch in range(recipe.epochs):
            notify(f"epoch {epoch + 1} of {recipe.epochs}")
            shuffled = torch.randperm(n, generator=generator, device=generator.device)
            for step in range(steps):
                yield shuffled[step * recipe.batch_size : (step + 1) * recipe.batch_size]

    return batches(), recipe.epochs * steps


def read_digits(reader: Reader, images: Tensor | np.ndarray) -> Tensor:
    """Probabilities of the ten classes for many images (as in `train_reader`), shape (n, 10)."""
    return _in_parts(lambda x: reader(x).softmax(1), images)


def digit_features(reader: Reader, images: Tensor | np.ndarray) -> Tensor:
    """Features of many images (as in `train_reader`), shape (n, features)."""
    return _in_parts(reader.features, images)


def _in_parts(compute: Callable[[Tensor], Tensor], images: Tensor | np.ndarray) -> Tensor:
    with torch.no_grad():
        return torch.cat([compute(unit_range(part)) for part in torch.split(as_images(images), 1000)])


def save_reader(path: Path, reader: Reader, recipe: ReaderRecipe, facts: dict[str, Any]) -> None:
    """Write a reader, how it was trained, and what else is known of it (JSON values) to one file.

    Raises:
        RunError: If it cannot be written.
    """
    save_state(path, reader.state_dict(), {"recipe": asdict(recipe), **facts})


@functools.lru_cache(maxsize=2)
def frozen(name: str) -> tuple[Reader, dict[str, Any]]:
    """A network that comes with the package: ``reader`` or ``features``, and what is known of it.

    Raises:
        RunError: If the installed file is damaged.
    """
    with resources.as_file(resources.files("digitvae") / "pretrained" / f"{name}.safetensors") as path:
        tensors, facts = load_state(path)
    recipe = FROZEN[name]
    reader = Reader(recipe.widths, recipe.features)
    try:
        reader.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"The {name} network in the package is of another version; install digitvae again.") from error
    return reader.eval(), facts
