"""What a training step is made of besides the loss: optimiser, schedule, number format, running average."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from digitvae.config import TrainingConfig
from digitvae.models.vae import VAE


class WorkingCopy:
    """The model that gradients are computed with: in bfloat16 its matrix products run several times faster.

    The optimiser changes the float32 model; dense layers and convolutions of the copy's encoder and decoder follow it
    after each step. Everything else (normalisation, prior, scale of the likelihood) is the float32 model's own. In
    float32 the copy is the model itself.
    """

    def __init__(self, model: VAE, dtype: torch.dtype) -> None:
        self.model = model
        self._high: list[Tensor] = []
        self._low: list[Tensor] = []
        if dtype == torch.float32:
            return
        self.model = copy.deepcopy(model)
        self.model.prior = model.prior  # densities are never computed in bfloat16
        for low, high in zip(self.model.modules(), model.modules(), strict=True):
            if low is high:
                continue
            if isinstance(low, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                low.to(dtype)
                self._high += high.parameters(recurse=False)
                self._low += low.parameters(recurse=False)
            else:
                low._parameters.update(high._parameters)
                low._buffers.update(high._buffers)
        for parameter in self._high:
            parameter.grad = torch.zeros_like(parameter)

    def hand_over_gradients(self) -> None:
        """Give the float32 model the gradients of the last backward pass."""
        if self._low:
            torch._foreach_copy_([cast(Tensor, p.grad) for p in self._high], [cast(Tensor, p.grad) for p in self._low])

    def refresh(self) -> None:
        """Take over the float32 model's weights, and forget the gradients."""
        if self._low:
            with torch.no_grad():
                torch._foreach_copy_(self._low, self._high)
        self.model.zero_grad(set_to_none=True)


def schedule(kind: str, warmup: float, step: int, total: int) -> float:
    """The share of the highest learning rate at `step` of `total`.

    >>> [round(schedule("linear", 0.5, step, 4), 2) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = warmup * total
    if step < rising:
        return (step + 1) / math.ceil(rising)
    done = (step - rising) / max(1.0, total - rising)
    if kind == "linear":
        return 1 - done
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0


def default_device() -> torch.device:
    """The accelerator where there is one, else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    return torch.device("cpu")


def resolve_precision(precision: str, device: torch.device) -> str:
    """The number format of matrix products: what the recipe says, or for ``auto`` what the processor is fast in."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    fast = device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return "bfloat16" if fast else "float32"


@contextlib.contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Within it, float32 products and convolutions may take bfloat16 factors on the CPU; sums stay float32.

    That is what a lattice needs: log probabilities of hundreds of nats, rounded to bfloat16, would be wrong by one.
    """
    backends: list[Any] = [torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            if precision == "bfloat16":
                backend.fp32_precision = "bf16"
        yield
    finally:
        for backend, setting in zip(backends, before, strict=True):
            backend.fp32_precision = setting


def make_optimizer(model: VAE, settings: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    """AdamW; weight decay acts on matrices and filters, not on biases and normalisation."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=device.type in ("cpu", "cuda"),
    )


def make_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """A running average of the weights whose decay grows from 0, so that it forgets the random start soon."""
    if not decay:
        return None

    def blend(average: Any, now: Any, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(average, now, share)

    return AveragedModel(model, multi_avg_fn=blend, use_buffers=False)
