"""Encoder and decoder bodies, tensor to tensor. No probability and no loss in here."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from digitvae.errors import ConfigError, InputError


class Sin(nn.Module):
    """The sine of each value: as first layer of a decoder it makes a periodic basis of the latent space."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.sin(x)


class TorusBasis(nn.Module):
    """Codes as waves over the quantiles of a standard Normal: what the decoder sees repeats in each dimension.

    The plane is squeezed into the unit square, whose opposite sides meet: a torus, with no edge for digits to crowd
    at. A decoder learns fine detail from waves that it hardly learns from the two coordinates (Tancik et al., 2020).
    There is nothing to learn in here, but training may let in the low waves first, which gives a map with fewer folds
    (after Park et al., 2021).
    """

    def __init__(self, latent_dim: int, frequency: int) -> None:
        super().__init__()
        self.frequency = frequency
        self.waves: Tensor
        self.reach: Tensor
        axis = torch.arange(-frequency, frequency + 1, device="cpu")
        waves = torch.cartesian_prod(*[axis] * latent_dim).reshape(-1, latent_dim)
        waves = waves[len(waves) // 2 + 1 :]  # of k and -k one: the other gives the same waves
        lengths = torch.linalg.vector_norm(waves.float(), dim=1)
        self.register_buffer("waves", waves[lengths <= frequency], persistent=False)
        self.register_buffer("reach", torch.tensor(float(frequency)))

    @property
    def width(self) -> int:
        """Values for each code."""
        return 2 * len(self.waves)

    def on_circles(self, z: Tensor) -> Tensor:
        """Codes (..., latent) as a point on a circle for each dimension, (..., 2 * latent): so near codes are near
        across the seam too. A circle's length is 1, as the side of the square is."""
        phase = 2 * math.pi * torch.special.ndtr(z)
        return torch.cat([phase.sin(), phase.cos()], -1) / (2 * math.pi)

    def let_in(self, share: float) -> None:
        """Let in waves from the lowest on, as far as `share` of the way to the highest frequency."""
        self.reach.fill_(0.5 + (self.frequency - 0.5) * min(1.0, share))

    def forward(self, z: Tensor) -> Tensor:
        """Codes (..., latent) to (..., width), in float32 or better: bfloat16 cannot tell neighbouring codes apart."""
        z = z if z.dtype == torch.float64 else z.float()
        waves = self.waves.to(z.dtype)
        phase = 2 * math.pi * (torch.special.ndtr(z).unsqueeze(-1) * waves.T).sum(-2)
        strength = math.sqrt(2) * (self.reach + 1 - torch.linalg.vector_norm(waves, dim=1)).clamp(0, 1)
        return torch.cat([strength * phase.sin(), strength * phase.cos()], -1)


class UnitDropout(nn.Module):
    """Dropout (Srivastava et al., 2014) that leaves out the same units for all codes of a step.

    A step of quadrature sees the whole plane at once: one thinned network for all of it keeps the map whole, and
    drawing a mask for every code would cost as much as a layer.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None  # given by who trains; the global one else
        self.kept: Tensor | None = None
        self.again = False

    def forward(self, x: Tensor) -> Tensor:
        """Any shape (..., units) to the same shape."""
        if not self.training:
            return x
        if self.kept is None or not self.again:
            self.kept = torch.rand(x.shape[-1], generator=self.generator, device=x.device) >= self.share
        return x * (self.kept / (1 - self.share)).to(x.dtype)


@contextlib.contextmanager
def same_units(decoder: nn.Module) -> Iterator[None]:
    """Within, dropout leaves out what it left out the last time."""
    layers = [part for part in decoder.modules() if isinstance(part, UnitDropout)]
    try:
        for layer in layers:
            layer.again = True
        yield
    finally:
        for layer in layers:
            layer.again = False


def decodes_one_by_one(decoder: nn.Module) -> bool:
    """Whether what a decoder in training makes of a code does not depend on the codes beside it."""
    return not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in decoder.modules())


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sin": Sin,
}

PIXELS = 28
"""Height and width of every image."""

Shape = tuple[int, int, int]
"""Channels, height and width."""

IMAGE: Shape = (1, PIXELS, PIXELS)
"""Of an image. Dense networks take other shapes too, such as (1, 1, 5) for rows of five features."""


class MLPEncoder(nn.Module):
    """Dense layers from an image to the parameters of its posterior."""

    def __init__(
        self, latent_dim: int, widths: Sequence[int], activation: str, classes: int = 0, shape: Shape = IMAGE
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        before = math.prod(shape) + classes
        for width in widths:
            layers += [nn.Linear(before, width), ACTIVATIONS[activation]()]
            before = width
        self.body = nn.Sequential(*layers)
        self.loc = nn.Linear(before, latent_dim)
        self.log_var = nn.Linear(before, latent_dim)
        _lecun(self)

    def forward(self, x: Tensor, hot: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, 28, 28), and one-hot labels where there are, to loc and log_var, each (batch, latent)."""
        h = self.body(x if hot is None else torch.cat([x.flatten(1), hot], 1))
        # log_var bends to stay under 1: no posterior needs to be much wider than the prior, and the variance of one
        # odd image, taken through exp, can otherwise blow up a whole run.
        return self.loc(h), 1 - nn.functional.softplus(1 - self.log_var(h))

    def center(self, mean: Tensor) -> None:
        """Move the initial biases so that the first layer sees images minus `mean`, shape (1, 28, 28)."""
        first = next(m for m in self.modules() if isinstance(m, nn.Linear))
        with torch.no_grad():
            # Pixels vary little around their mean; larger first weights give the first layer a signal at once.
            first.weight *= 2.5
            first.bias.sub_(first.weight[:, : mean.numel()] @ mean.flatten())


class MLPDecoder(nn.Module):
    """Dense layers from a code, through its basis, to the logits of an image."""

    def __init__(
        self,
        latent_dim: int,
        widths: Sequence[int],
        activation: str,
        basis: str = "none",
        frequency: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
        shape: Shape = IMAGE,
    ) -> None:
        super().__init__()
        self.basis, before, first = _basis(latent_dim, activation, basis, frequency)
        before += classes
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(before, width), ACTIVATIONS[activation if layers else first]()]
            layers += [UnitDropout(dropout)] * bool(dropout)
            before = width
        layers += [nn.Linear(before, math.prod(shape)), nn.Unflatten(-1, shape)]
        self.body = nn.Sequential(*layers)
        _lecun(self)

    def forward(self, z: Tensor, hot: Tensor | None = None) -> Tensor:
        """Codes (..., latent) and one-hot labels, where there are, to logits (..., 1, 28, 28), as weights are kept."""
        h = _on_basis(self, z)
        return self.body(h if hot is None else torch.cat([h, hot.to(h.dtype)], -1))  # type: ignore[no-any-return]

    def center(self, mean: Tensor) -> None:
        """Move the initial biases so that every code first decodes to nearly `mean`, shape (1, 28, 28)."""
        *_, last = (m for m in self.modules() if isinstance(m, nn.Linear))
        with torch.no_grad():
            last.weight *= 0.3
            last.bias.copy_(torch.logit(mean.flatten().clamp(0.002, 0.998)))


def one_hot(label: Tensor | None, classes: int, like: Tensor) -> Tensor | None:
    """Labels as vectors of zeros and a one for codes `like`, shape (..., classes); None where there are no classes.

    Labels that are such vectors already, or mixtures of them (floating point), stay as they are.

    Raises:
        InputError: If there are classes and no labels.
    """
    if not classes:
        return None
    if label is None:
        raise InputError("This model is conditioned on the digit: say which, with given(labels).")
    hot = label if label.is_floating_point() else nn.functional.one_hot(label, classes)
    return hot.to(like.dtype).expand(*like.shape[:-1], -1)


def _basis(latent_dim: int, activation: str, basis: str, frequency: int) -> tuple[nn.Module | None, int, str]:
    """What comes before a decoder's first layer, how many values it gives, and that layer's activation."""
    if basis == "torus":
        waves = TorusBasis(latent_dim, frequency)
        return waves, waves.width, activation
    return None, latent_dim, activation if basis == "none" else basis


def _on_basis(decoder: MLPDecoder | ConvDecoder, z: Tensor) -> Tensor:
    weight = next(decoder.body.parameters())
    return (z if decoder.basis is None else decoder.basis(z)).to(weight.dtype)


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 with 'same' padding as Keras pads: the odd row and column go at the end."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, height, width) to half the height and width; both must be even."""
        return super().forward(nn.functional.pad(input, (0, 1, 0, 1)))


class SameConvTranspose2d(nn.ConvTranspose2d):
    """The transposed convolution that belongs to `SameConv2d`: doubles height and width.

    Along one axis, output 2i is input i times weight 0 plus input i-1 times weight 2, and output 2i+1 is input i times
    weight 1. So the four outputs of a 2x2 block are four filters of one ordinary 2x2 convolution, which runs about
    three times faster on a CPU than the transposed one with as few channels as here.
    """

    # For each row (then column) in a 2x2 block of outputs: the weights that meet inputs i-1 and i; 3 is none.
    _TAPS = ((2, 0), (3, 1))

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=3, stride=2)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(batch, channels, height, width) to twice the height and width."""
        batch, channels, height, width = input.shape
        taps = torch.tensor(self._TAPS, device=input.device)
        weight = nn.functional.pad(self.weight, (0, 1, 0, 1))
        # (in, out, row of block, row tap, column of block, column tap) to (block, out, in, row tap, column tap)
        weight = weight[:, :, taps[:, :, None, None], taps[None, None]].permute(2, 4, 1, 0, 3, 5)
        kernel = weight.reshape(4 * self.out_channels, channels, 2, 2)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        assert self.bias is not None
        blocks = nn.functional.conv2d(nn.functional.pad(input, (1, 0, 1, 0)), kernel, self.bias.repeat(4))
        blocks = blocks.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, self.out_channels)
        image = blocks.permute(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.out_channels)
        return image.permute(0, 3, 1, 2)


class FewChannelsBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that sees channels first where they are few.

    torch's backward pass over channels-last images handles 16 channels at a time; with fewer it is ten times slower
    than the copies that avoid it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same shape."""
        if self.num_features % 16 == 0:
            return super().forward(input)
        if input.requires_grad:
            input.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        output = super().forward(input.contiguous())
        if output.requires_grad:
            output.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        return output


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _lecun(module: nn.Module) -> None:
    """Initial weights of variance 1 / inputs (LeCun et al., 1998): signals keep their size through the layers."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -(3**0.5) * bound, 3**0.5 * bound)
            nn.init.uniform_(part.bias, -bound, bound)


def _glorot(module: nn.Module) -> None:
    """Keras' default initial weights, so that the original network also starts as it did."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


# Keras' defaults; its momentum of 0.99 is 0.01 here.
_BATCH_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}


class ConvEncoder(nn.Module):
    """Convolutions of stride 2, then a dense layer; batch normalisation after each activation.

    With widths (8, 16, 20) and ReLU it is the encoder of the original report: 17,208 parameters at two latent
    dimensions.
    """

    def __init__(self, latent_dim: int, widths: Sequence[int], activation: str) -> None:
        super().__init__()
        *filters, dense = _conv_widths(widths, "model.encoder", extra=1)
        layers: list[nn.Module] = []
        channels, size = 1, PIXELS
        for width in filters:
            layers += [
                SameConv2d(channels, width),
                ACTIVATIONS[activation](),
                FewChannelsBatchNorm2d(width, **_BATCH_NORM),
            ]
            channels, size = width, size // 2
        layers += [nn.Flatten(), nn.Linear(channels * size * size, dense), ACTIVATIONS[activation]()]
        layers += [nn.BatchNorm1d(dense, **_BATCH_NORM)]
        self.body = nn.Sequential(*layers)
        self.loc = nn.Linear(dense, latent_dim)
        self.log_var = nn.Linear(dense, latent_dim)
        _glorot(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, 28, 28) to loc and log_var, each (batch, latent)."""
        h = self.body(x)
        return self.loc(h), self.log_var(h)


class ConvDecoder(nn.Module):
    """A dense layer, then transposed convolutions of stride 2; batch normalisation after each activation.

    With widths (16, 8) and ReLU it is the decoder of the original report: 9,137 parameters at two latent dimensions.
    """

    def __init__(
        self,
        latent_dim: int,
        widths: Sequence[int],
        activation: str,
        basis: str = "none",
        frequency: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        filters = _conv_widths(widths, "model.decoder", extra=0)
        size = PIXELS // 2 ** len(filters)
        channels, dense = filters[0], filters[0] * size * size
        self.basis, before, first = _basis(latent_dim, activation, basis, frequency)
        layers: list[nn.Module] = [nn.Linear(before, dense), ACTIVATIONS[first](), nn.BatchNorm1d(dense, **_BATCH_NORM)]
        layers += [UnitDropout(dropout)] * bool(dropout)
        layers += [nn.Unflatten(-1, (channels, size, size))]
        for width in filters:
            layers += [SameConvTranspose2d(channels, width), ACTIVATIONS[activation]()]
            layers += [FewChannelsBatchNorm2d(width, **_BATCH_NORM)]
            channels = width
        layers += [nn.ConvTranspose2d(channels, 1, kernel_size=3, padding=1)]
        self.body = nn.Sequential(*layers)
        _glorot(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor) -> Tensor:
        """Codes (..., latent) to logits (..., 1, 28, 28), in the number format of the weights."""
        flat = _on_basis(self, z.reshape(-1, z.shape[-1]))
        return self.body(flat).reshape(*z.shape[:-1], 1, PIXELS, PIXELS)  # type: ignore[no-any-return]


def _conv_widths(widths: Sequence[int], name: str, extra: int) -> tuple[int, ...]:
    """28 can be halved twice, so there are one or two convolutions (and `extra` dense layers)."""
    if not 1 + extra <= len(widths) <= 2 + extra:
        raise ConfigError(f"{name} of a conv network must have {1 + extra} or {2 + extra} widths, not {len(widths)}.")
    return tuple(widths)


ENCODERS = {"mlp": MLPEncoder, "conv": ConvEncoder}
DECODERS = {"mlp": MLPDecoder, "conv": ConvDecoder}
