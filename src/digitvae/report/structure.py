"""The encoder and the decoder as diagrams, read from the live model: any recipe's networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from digitvae.models.posterior import POINTS, STEPS
from digitvae.models.vae import VAE
from digitvae.networks import PIXELS
from digitvae.structure import Layer, layers_of


@dataclass(frozen=True)
class Row:
    """One layer of a diagram.

    Attributes:
        name: What the layer is.
        shape: Its output, such as ``14 × 14 × 8``.
        parameters: How many numbers it holds; empty where none.
        size: Width of its bar in percent: the logarithm of the number of its outputs.
        kind: ``quiet`` where it only rearranges or rescales, ``code`` for the latent code, else empty.
    """

    name: str
    shape: str
    parameters: str
    size: int
    kind: str


@dataclass(frozen=True)
class Network:
    """The diagram of one network."""

    title: str
    text: str
    layers: Sequence[Row]


def networks(model: VAE) -> tuple[Network, Network, int, int]:
    """Diagrams of encoder and decoder, the number of parameters that are trained, and of all."""
    image, code = torch.zeros(1, 1, PIXELS, PIXELS), (model.latent_dim,)
    hot = [torch.zeros(1, model.classes + model.told)] if model.classes + model.told else []
    if model.encoder is None:
        encoder = [Layer("input", (1, PIXELS, PIXELS), 0)]
        encoder += [Layer("likelihoods of a lattice of codes, by the decoder", (POINTS[model.latent_dim],), 0)]
        encoder += [Layer(f"the likeliest, {STEPS} Gauss-Newton steps on: loc", code, 0)]
        encoder += [Layer("information there: log-variance", code, 0)]
        how = "No network: the posterior is found by search"
    else:
        encoder, how = layers_of(model.encoder, image, *hot), "From an image to its posterior"
    decoder = layers_of(model.decoder, torch.zeros(1, model.latent_dim), *hot)
    most = max(math.prod(layer.output_shape) for layer in (*encoder, *decoder))
    trained = sum(p.numel() for p in model.parameters())
    everything = sum(layer.parameters for layer in (*encoder, *decoder))
    everything += sum(p.numel() for part in (model.prior, model.likelihood) for p in part.parameters())
    return (
        _network("Encoder", how, encoder, most, model.latent_dim),
        _network("Decoder", "From a code to the logits of an image", decoder, most, model.latent_dim),
        trained,
        everything,
    )


def _network(title: str, text: str, layers: Sequence[Layer], most: int, latent: int) -> Network:
    total = sum(layer.parameters for layer in layers)
    rows = [_row(layer, most, latent) for layer in layers]
    return Network(title, f"{text}: {total:,} parameters.", rows)


def _row(layer: Layer, most: int, latent: int) -> Row:
    shape = layer.output_shape
    if len(shape) == 3:
        shape = (*shape[1:], shape[0])
    kind = ""
    if layer.output_shape == (latent,):
        kind = "code"
    elif layer.name in ("flatten", "reshape", "batch normalisation"):
        kind = "quiet"
    size = round(100 * math.log1p(math.prod(shape)) / math.log1p(most))
    name = {"input": "code z" if kind == "code" else "image"}.get(layer.name, layer.name)
    return Row(name, " × ".join(map(str, shape)), f"{layer.parameters:,}" if layer.parameters else "", size, kind)
