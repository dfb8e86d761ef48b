"""A small convolutional network that reads digits: it labels and judges generated ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CLASSES = 10


class Reader(nn.Module):
    """Convolutions of 3x3, each with batch normalisation, ReLU and 2x2 pooling; a dense layer of features; logits.

    Args:
        widths: Filters of the convolutions, one to four.
        features: Width of the dense layer whose values, after its ReLU, are the features.

    >>> reader = Reader((4, 8), 16).eval()
    >>> reader(torch.rand(3, 1, 28, 28)).shape, reader.features(torch.rand(3, 1, 28, 28)).shape
    (torch.Size([3, 10]), torch.Size([3, 16]))
    """

    def __init__(self, widths: Sequence[int], features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, side = 1, 28
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
            before, side = width, side // 2
        layers += [nn.Flatten(), nn.Linear(before * side * side, features), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.logits = nn.Linear(features, CLASSES)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees of images (batch, 1, 28, 28) in [0, 1]: not negative, shape (batch, features)."""
        return self.body(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the ten classes for images (batch, 1, 28, 28) in [0, 1], shape (batch, 10)."""
        return self.logits(self.features(x))  # type: ignore[no-any-return]
