"""Any model as two ONNX files, encoder and decoder, held against PyTorch on real digits; smaller ones in int8.

Each file is whole: its weights are in it. What is random stays outside: codes are drawn by whoever uses the files.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from digitvae.data import Digits
from digitvae.distributions import DiagonalNormal
from digitvae.errors import DataError, RunError
from digitvae.export import onnx_graph
from digitvae.models.vae import VAE
from digitvae.training import stream_seed

MOST_DIFFERENT = 1e-4
"""What an output may differ from PyTorch's, at most: loc and log_var in latent units, means in shares of ink."""

HELD = 1000
"""Digits that the files are held against PyTorch on, at most."""

DENSE = ["MatMul", "Gemm"]
"""Operations whose weights become int8: dense layers, which hold nearly all of them."""

_TINY = 1e-6


class _Encoder(nn.Module):
    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        posterior = self.model.given(label).encode(x)
        return posterior.loc, posterior.log_var


class _Decoder(nn.Module):
    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.model.given(label).decode(z).mean


@dataclass(frozen=True)
class Portable:
    """What was written and found.

    Attributes:
        files: Names of the files.
        digits: Real digits that they were held against PyTorch on.
        differences: The largest of each output of the float32 files, by name: ``loc``, ``log_var``, ``mean``.
        elbo: Mean ELBO of the digits by the float32 files, in nats per image, grey pixels, one code for each.
        elbo_int8: The same with the same noise by the int8 files; None where there are none.
    """

    files: tuple[str, ...]
    digits: int
    differences: dict[str, float]
    elbo: float
    elbo_int8: float | None


def export_portable(
    folder: Path, model: VAE, digits: Digits, int8: bool = False, more: Digits | None = None
) -> Portable:
    """Write ``encoder.onnx`` (x to loc and log_var) and ``decoder.onnx`` (z to mean) into a folder, and measure them.

    The mean is that of the likelihood: the contrast that a recipe draws with is no part of it (`VAE.draw`).

    Inputs are ``x``, float32, shape (batch, 1, 28, 28), in [0, 1], and ``z``, float32, shape (batch, latent), for any
    batch; models that are conditioned on the digit take ``label`` too, int64, shape (batch,). A model without an
    encoder (see `digitvae.models.posterior`) gets no ``encoder.onnx``: its posterior is found by search.

    Args:
        folder: The folder; it is there.
        model: The model.
        digits: Real digits to measure with; the first `HELD` for the differences, all for the ELBO.
        int8: Also write ``encoder-int8.onnx`` and ``decoder-int8.onnx``, whose dense layers have int8 weights.
        more: Further digits for the differences, where there are fewer than `HELD`.

    Raises:
        DataError: If the model needs labels and the digits have none.
        InputError: If the extra ``onnx`` is not installed.
        RunError: If an output differs from PyTorch's by more than `MOST_DIFFERENT`.
    """
    if model.classes and digits.labels is None:
        raise DataError("The model is conditioned on the digit and is checked on labelled ones; these have none.")
    model.eval()
    x, label = _inputs(model, digits)
    two = {} if label is None else {"label": torch.tensor([0, 1])}
    graphs = {"decoder": onnx_graph(_Decoder(model), {"z": torch.zeros(2, model.latent_dim), **two}, ["mean"])}
    if model.encoder is not None:
        graphs["encoder"] = onnx_graph(_Encoder(model), {"x": torch.zeros(2, 1, 28, 28), **two}, ["loc", "log_var"])
    names = []
    for part, graph in graphs.items():
        (folder / f"{part}.onnx").write_bytes(graph.SerializeToString())
        names.append(f"{part}.onnx")
        if int8:
            # A code has few numbers, and all of them count: the layer that reads it stays as it is.
            first = next(node.name for node in graph.graph.node if node.op_type in DENSE)
            # The quantiser turns each Gemm into a MatMul first, and names it so.
            exclude = [first, f"{first}_MatMul"] if part == "decoder" else []
            _quantize(folder / f"{part}.onnx", folder / f"{part}-int8.onnx", exclude)
            names.append(f"{part}-int8.onnx")
    held = (digits if more is None else digits.followed_by(more)).subset(slice(HELD))
    held_x, held_label = _inputs(model, held)
    differences = _differences(folder, model, held_x, held_label)
    for output, difference in differences.items():
        if not difference <= MOST_DIFFERENT:
            raise RunError(
                f"The exported {output} differs from PyTorch's by {difference:.2g}, more than {MOST_DIFFERENT:g}, so "
                "nothing is kept; please report this model."
            )
    elbo = _elbo(folder, "", model, x, label)
    elbo_int8 = _elbo(folder, "-int8", model, x, label) if int8 else None
    return Portable(tuple(sorted(names)), len(held), differences, elbo, elbo_int8)


def _inputs(model: VAE, digits: Digits) -> tuple[Tensor, Tensor | None]:
    x = torch.from_numpy(digits.images).unsqueeze(1).float() / 255
    if not model.classes or digits.labels is None:
        return x, None
    return x, torch.from_numpy(digits.labels.astype(np.int64))


def _differences(folder: Path, model: VAE, x: Tensor, label: Tensor | None) -> dict[str, float]:
    """The largest difference between the files and PyTorch for each output, on images and on the codes of them."""
    with torch.inference_mode():
        posterior = model.given(label).encode(x)
        mean = model.given(label).decode(posterior.loc).mean
    found = {"mean": _run(folder / "decoder.onnx", posterior.loc, label)[0] - mean}
    if model.encoder is not None:
        loc, log_var = _run(folder / "encoder.onnx", x, label)
        found |= {"loc": loc - posterior.loc, "log_var": log_var - posterior.log_var}
    return {output: float(difference.abs().max()) for output, difference in sorted(found.items())}


def _elbo(folder: Path, kind: str, model: VAE, x: Tensor, label: Tensor | None) -> float:
    """Mean ELBO with encoder and decoder run from files; prior and likelihood are the model's, the noise the same."""
    generator = torch.Generator().manual_seed(stream_seed(0, "validation"))
    noise = torch.randn(len(x), model.latent_dim, generator=generator)
    given = model.given(label)
    with torch.inference_mode():
        if model.encoder is None:
            posterior = given.encode(x)
        else:
            posterior = DiagonalNormal(*_run(folder / f"encoder{kind}.onnx", x, label))
        z = posterior.at(noise)
        (mean,) = _run(folder / f"decoder{kind}.onnx", z, label)
        distortion = -model.likelihood(torch.logit(mean.double(), eps=_TINY)).log_prob(x.double())
        return -float((given.prior.rate(posterior, z).double() + distortion).mean())


def _run(path: Path, values: Tensor, label: Tensor | None, chunk: int = 1000) -> tuple[Tensor, ...]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    parts: list[list[Any]] = []
    for start in range(0, len(values), chunk):
        rows = slice(start, start + chunk)
        feed = {session.get_inputs()[0].name: values[rows].numpy()}
        feed |= {} if label is None else {"label": label[rows].numpy()}
        parts.append(session.run(None, feed))
    return tuple(torch.from_numpy(np.concatenate(each)) for each in zip(*parts, strict=True))


def _quantize(source: Path, target: Path, exclude: list[str]) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    # Without the shapes noted in it: older releases of onnxruntime turn weights round, then find these wrong.
    del model.graph.value_info[:]
    with _no_advice():
        quantize_dynamic(model, target, DENSE, True, weight_type=QuantType.QInt8, nodes_to_exclude=exclude)


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Quantising advises on the root logger to prepare the file first, which changes nothing for dense layers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
