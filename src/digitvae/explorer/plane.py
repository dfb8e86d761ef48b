"""The plane that the map shows: places on it, the codes they stand for, and the digits drawn there."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from digitvae.generation import decode_images, encode_images
from digitvae.models.vae import VAE
from digitvae.studio import Studio

Array = npt.NDArray[Any]
Images = npt.NDArray[np.uint8]


class Drawer(Protocol):
    """What turns digits into codes and codes into digits.

    Attributes:
        latent_dim: Latent dimensions.
        by_digit: Whether it has to be told the digit.
    """

    latent_dim: int
    by_digit: bool

    def encode(self, images: Images, labels: Array | None) -> tuple[Array, Array | None]:
        """Codes of digits, shape (n, latent), and the variances of their posteriors where it knows them."""

    def decode(self, codes: Array, digit: int) -> Images:
        """Digits of codes (n, latent), uint8, shape (n, 28, 28); `digit` counts only where it has to be told."""


class VaeDrawer:
    """A VAE that is not told the digit."""

    by_digit = False

    def __init__(self, model: VAE) -> None:
        self.model = model
        self.latent_dim = model.latent_dim

    def encode(self, images: Images, labels: Array | None) -> tuple[Array, Array | None]:
        """Means and variances of the posteriors."""
        posterior = encode_images(self.model, images)
        return posterior.loc.numpy(), posterior.log_var.exp().numpy()

    def decode(self, codes: Array, digit: int) -> Images:
        """What is drawn, as grey levels."""
        means = decode_images(self.model, torch.from_numpy(np.asarray(codes, np.float32)))
        return (means[:, 0] * 255).round().to(torch.uint8).numpy()


class StudioDrawer:
    """A studio: its codes are styles."""

    by_digit = True

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.latent_dim = studio.latent_dim

    def encode(self, images: Images, labels: Array | None) -> tuple[Array, Array | None]:
        """Styles; a studio keeps no variances."""
        assert labels is not None, "a studio's digits have labels"
        return self.studio.style(images, labels), None

    def decode(self, codes: Array, digit: int) -> Images:
        """The digit in each of the styles."""
        return self.studio.draw(np.asarray(codes), np.full(len(codes), digit))


class Plane:
    """Two directions in latent space and where they start: the latent plane itself where there are two dimensions,
    else the plane of the two principal components of the digits' codes.

    Args:
        codes: Codes of digits, shape (n, latent), latent 2 or more.

    >>> plane = Plane(np.random.default_rng(0).normal(size=(50, 5)))
    >>> plane.places(plane.codes(np.array([[1.0, -2.0]]))).round(6).tolist()
    [[1.0, -2.0]]
    """

    def __init__(self, codes: Array) -> None:
        latent = codes.shape[1]
        if latent == 2:
            self.origin, self.axes = np.zeros(2), np.eye(2)
            return
        self.origin = codes.mean(0).astype(np.float64)
        _, _, rows = np.linalg.svd(codes - self.origin, full_matrices=False)
        # The sign of a component is arbitrary; this one makes it the same on every machine.
        self.axes = rows[:2] * np.sign(rows[:2][[0, 1], np.abs(rows[:2]).argmax(1)])[:, None]

    def codes(self, places: Array) -> Array:
        """The codes of places (n, 2), shape (n, latent)."""
        found: Array = self.origin + places @ self.axes
        return found

    def places(self, codes: Array) -> Array:
        """Where codes (n, latent) are seen, shape (n, 2)."""
        found: Array = (codes - self.origin) @ self.axes.T
        return found

    def spread(self, variances: Array) -> Array:
        """Covariances, shape (n, 2, 2), of posteriors with these variances, shape (n, latent), as they are seen."""
        found: Array = np.einsum("il,nl,jl->nij", self.axes, variances, self.axes)
        return found
