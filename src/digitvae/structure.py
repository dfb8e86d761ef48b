"""What a network is made of, read from the network itself: its layers, their shapes, how many numbers it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from digitvae.networks import ACTIVATIONS, TorusBasis, UnitDropout


@dataclass(frozen=True)
class Layer:
    """One row of a network's structure: what the layer is, its output shape without batch, its parameters."""

    name: str
    output_shape: tuple[int, ...]
    parameters: int


def count_parameters(module: nn.Module) -> int:
    """All numbers that a module holds: those trained and the running statistics of batch normalisation."""
    statistics = sum(b.numel() for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(p.numel() for p in module.parameters()) + statistics


def layers_of(network: nn.Module, example: Tensor, *hot: Tensor) -> list[Layer]:
    """The layers of an encoder or decoder in the order in which they run on `example` (a batch of one).

    A network that is conditioned on labels also needs a one-hot label, shape (1, classes).

    Activations are named in the row of the layer before them.
    """
    rows: list[Layer] = [Layer("input", tuple(example.shape[1:]), 0)]
    names = {"loc": "dense: loc", "log_var": "dense: log-variance"}
    handles = []

    def record(name: str, module: nn.Module, output: Tensor) -> None:
        if isinstance(module, UnitDropout):
            return  # it does nothing outside training
        if type(module) in ACTIVATIONS.values():
            last = rows.pop()
            title = f"{last.name}, {_activation_title(module)}"
            rows.append(Layer(title, last.output_shape, last.parameters))
        else:
            title = names.get(name, _title(module))
            if isinstance(module, nn.Flatten) and output[0].numel() > math.prod(rows[-1].output_shape):
                title = "flatten, with what it is told"
            rows.append(Layer(title, tuple(output.shape[1:]), count_parameters(module)))

    for name, module in network.named_modules():
        if not any(module.children()):
            handles.append(module.register_forward_hook(lambda m, _, out, n=name: record(n, m, out)))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(example, *hot)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return rows


def _activation_title(module: nn.Module) -> str:
    return {"ReLU": "ReLU", "LeakyReLU": "leaky ReLU", "Tanh": "tanh"}.get(type(module).__name__, type(module).__name__)


def _title(module: nn.Module) -> str:
    if isinstance(module, nn.ConvTranspose2d):
        return f"transposed convolution, {module.out_channels} filters, stride {module.stride[0]}"
    if isinstance(module, nn.Conv2d):
        return f"convolution, {module.out_channels} filters, stride {module.stride[0]}"
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return "batch normalisation"
    if isinstance(module, TorusBasis):
        return "waves on a torus"
    return {"Linear": "dense", "Flatten": "flatten", "Unflatten": "reshape"}[type(module).__name__]
