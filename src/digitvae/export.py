"""Models as ONNX files, which run anywhere without PyTorch: what `digitvae.studio` draws with, and any computation.

The studio's files hold the computation alone. The weights stay where they are, in the folder's ``model.safetensors``,
so that a model is not shipped three times over.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from digitvae.errors import InputError, RunError
from digitvae.flows import FlowPrior
from digitvae.models.vae import VAE


class _Draw(nn.Module):
    """Noise and weights of the labels to the grey levels of an image."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, noise: Tensor, weights: Tensor) -> Tensor:
        given = self.model.given(weights)
        assert isinstance(given.prior, FlowPrior)
        return (255 * given.draw(given.prior.to_code(noise))).round().to(torch.uint8)


class _Style(nn.Module):
    """Image and label to the noise that stands for its code."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        given = self.model.given(label)
        assert isinstance(given.prior, FlowPrior)
        return given.prior.to_noise(given.encode(image).loc)[0]


def export_studio(folder: Path, model: VAE) -> None:
    """Write ``draw.onnx`` and ``style.onnx`` into a model folder, beside its weights.

    Args:
        folder: The model folder.
        model: Its model: a VAE that is conditioned on the digit and has a ``flow`` prior.

    Raises:
        InputError: If the model is of another kind, or the extra ``onnx`` is not installed.
        RunError: If a file cannot be written.
    """
    if not model.classes or not isinstance(model.prior, FlowPrior):
        raise InputError("Only a model with model.classes 10 and model.prior flow can draw digits that are asked for.")
    noise, label = torch.zeros(2, model.latent_dim), torch.tensor([0, 1])
    model.eval()
    weights = torch.eye(model.classes)[:2]
    _export(folder / "draw.onnx", _Draw(model), {"noise": noise, "weights": weights}, "image")
    _export(folder / "style.onnx", _Style(model), {"image": torch.zeros(2, 1, 28, 28), "label": label}, "noise")


def _export(path: Path, module: nn.Module, example: dict[str, Tensor], output: str) -> None:
    # Weights that are equal, such as the zeros that biases begin with, would be taken for one and the same; which they
    # are does not matter here, as none is stored.
    apart = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(0)
    for parameter in apart.parameters():
        nn.init.normal_(parameter, generator=generator)
    graph = onnx_graph(apart, example, [output])
    import onnx

    weights = {name: (list(t.shape), t.numel() * 4) for name, t in module.state_dict().items()}
    for stored in graph.graph.initializer:
        if stored.name in weights:
            shape, size = weights[stored.name]
            assert (list(stored.dims), stored.data_type) == (shape, onnx.TensorProto.FLOAT)
            stored.ClearField("raw_data")
            stored.data_location = onnx.TensorProto.EXTERNAL
            # Where they truly lie, and how, is for the studio to know: it hands them over as they are to be.
            for key, value in (("location", "model.safetensors"), ("offset", "0"), ("length", str(size))):
                stored.external_data.add(key=key, value=value)
    _aside(path, lambda aside: aside.write_bytes(graph.SerializeToString()))


def onnx_graph(module: nn.Module, example: dict[str, Tensor], outputs: list[str]) -> Any:
    """A computation as an ``onnx.ModelProto`` with its weights, for any number of images.

    Args:
        module: The computation.
        example: Its inputs by name, in their order; a batch of two.
        outputs: Names of what it gives.

    Raises:
        InputError: If the extra ``onnx`` is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError("Exporting needs the extra onnx: pip install 'digitvae[onnx]'.") from error
    batch = torch.export.Dim.AUTO
    with _quietly():
        program = torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in example),
            input_names=list(example),
            output_names=outputs,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    for node in graph.graph.node:  # where in whose source each came from: ten times the size of the rest
        node.ClearField("metadata_props")
    return graph


def _aside(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file beside `path`, then rename it: nobody ever sees half of it."""
    aside = path.with_name(path.name + ".part")
    try:
        save(aside)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporter speaks of its own insides, and of packages that it could also serve."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(before)
