"""A run or a model as the page shows it: its digits as points of a plane, its snapshots, its curves."""

from __future__ import annotations

import base64
import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from digitvae.checkpoint import load_model, model_facts
from digitvae.data import Splits
from digitvae.errors import InputError
from digitvae.evaluation.files import data_of, seen_in_training
from digitvae.explorer.plane import Array, Drawer, Images, Plane, StudioDrawer, VaeDrawer
from digitvae.latent import SUPPORT_NEIGHBORS, Support
from digitvae.reading import frozen, read_digits
from digitvae.rundir import PRETRAINED, RunDirectory, find_model
from digitvae.studio import Studio

PART = 500
"""Digits that are encoded at a time, so that points appear by and by where encoding takes long."""

PLATE = 15
"""Digits on a side of the decoded plane of a snapshot."""

SUPPORT_STEPS = 128
"""Places on a side of the square on which it is looked up where the data ends."""

EDGE = 64
"""The value at which the data ends."""

FEWEST = 3
"""Points for each cluster, at least; with fewer none are looked for."""

REACH = 2.0
"""Half of that square's side, as a multiple of the extent of the data."""


class Explored:
    """What is shown of a run or model. `encode` must be called once before there are points.

    Args:
        name: Run directory, model folder or shipped name.
        splits: The digits; the validation digits are the points.
        data: The name under which `digitvae.data.load_splits` gives them again.
        data_dir: The folder that it looks in, where one was named.

    Attributes:
        drawer: What draws on the map; None where there is no map.
        why_no_map: One sentence where there is none.
        ready: Points that are there so far.
        encoded: Set when all are there.
        stopped: To be set when `encode` is to end before that.

    Raises:
        RunError: If there is no such model, or it is damaged.
    """

    def __init__(self, name: str, splits: Splits, data: str = "mnist", data_dir: Path | None = None) -> None:
        self.name, self.splits, self.data, self.data_dir = name, splits, data, data_dir
        self.folder = find_model(name)
        self.facts = model_facts(self.folder)
        self.model, self.config = load_model(self.folder)
        run = RunDirectory(Path(name))
        self.run = run if run.config_file.is_file() else None
        self.drawer, self.why_no_map = self._drawer()
        self.plane: Plane | None = None
        self._places = np.zeros((len(splits.validation), 2), np.float32)
        self.ready = 0
        self.encoded = threading.Event()
        self.stopped = threading.Event()

    def _drawer(self) -> tuple[Drawer | None, str]:
        latent = self.model.latent_dim
        if latent < 2:
            return None, "This model has one latent dimension, so its codes lie on a line and there is no map of them."
        if not self.model.classes:
            return VaeDrawer(self.model), ""
        if not (self.folder / "draw.onnx").is_file():
            return None, (
                "This model is told the digit and has not been made one that draws: run digitvae export "
                f"{self.name} -o FOLDER, then digitvae explore FOLDER."
            )
        if self.splits.validation.labels is None:
            return (
                None,
                "This model is told the digit, and these images have no labels, so they have no place on a map.",
            )
        return StudioDrawer(Studio(self.folder, threads=1)), ""

    def encode(self) -> None:
        """Find the place of every validation digit, some at a time."""
        digits = self.splits.validation
        try:
            if self.drawer is not None:
                step = PART if self.drawer.latent_dim == 2 else len(digits)
                for start in range(0, len(digits), step):
                    if self.stopped.is_set():
                        break
                    part = digits.subset(slice(start, start + step))
                    codes, _ = self.drawer.encode(part.images, part.labels)
                    if self.plane is None:
                        self.plane = Plane(codes)
                    self._places[start : start + step] = self.plane.places(codes)
                    self.ready = min(start + step, len(digits))
        finally:  # who waits must not do so for ever
            self.encoded.set()

    @property
    def places(self) -> Array:
        """Places of the points that are there so far, float32, shape (ready, 2)."""
        return self._places[: self.ready]

    @functools.cached_property
    def extent(self) -> float:
        """Half a side of the square around the origin that holds 99.5 % of the points, and the prior's bulk."""
        self.encoded.wait()
        return float(max(3.0, np.quantile(np.abs(self.places).max(1), 0.995))) if self.ready else 3.0

    @functools.cached_property
    def support(self) -> Array | None:
        """How far from the data each place of a square grid is: `EDGE` where it ends, uint8, 255 at most.

        The grid goes from -`REACH` to `REACH` times the extent, shape (`SUPPORT_STEPS`, `SUPPORT_STEPS`): rows go up,
        columns to the right. What the data's end is: see `digitvae.latent.Support`. None where there are too few points
        to tell.
        """
        self.encoded.wait()
        if self.ready <= SUPPORT_NEIGHBORS:
            return None
        grid = torch.from_numpy(square(self.extent * REACH, SUPPORT_STEPS))
        support = Support.fit(torch.from_numpy(self.places))
        share = support.distance(grid).numpy() / support.limit
        return np.minimum(share * EDGE, 255).astype(np.uint8).reshape(SUPPORT_STEPS, SUPPORT_STEPS)

    def edge(self) -> dict[str, Any]:
        """The extent of the data and `support`, as JSON values.

        Raises:
            InputError: If there is no map.
        """
        _, plane = self.mapped()
        distance = None if self.support is None else base64.b64encode(self.support.tobytes()).decode()
        return {
            "extent": self.extent,
            "reach": self.extent * REACH,
            "steps": SUPPORT_STEPS,
            "edge": EDGE,
            "distance": distance,
            "plane": {"origin": plane.origin.tolist(), "axes": plane.axes.tolist()},
        }

    @functools.cached_property
    def clusters(self) -> list[dict[str, Any]]:
        """The clusters that a mixture of Gaussians finds without labels: middle, covariance, size, and the digit that
        most of their points are, with its share (None where there are no labels). Empty where there are few points.

        Raises:
            InputError: If there is no map.
        """
        self.mapped()
        from digitvae.evaluation.clustering import CLUSTERS, cluster_scores  # takes seconds; the page is there before

        self.encoded.wait()
        labels = self.splits.validation.labels
        places = self.places.astype(np.float64)
        if len(places) < FEWEST * CLUSTERS:
            return []
        given = np.zeros(len(places), np.int64) if labels is None else labels.astype(np.int64)
        groups = cluster_scores(places, given).gaussian_mixture.clusters
        found = []
        for group in range(CLUSTERS):
            rows = groups == group
            if rows.sum() < 3:
                continue
            digit, share = None, None
            if labels is not None:
                counts = np.bincount(labels[rows], minlength=10)
                digit, share = int(counts.argmax()), float(counts.max() / rows.sum())
            found.append(
                {
                    "middle": places[rows].mean(0).tolist(),
                    "covariance": np.cov(places[rows].T).tolist(),
                    "count": int(rows.sum()),
                    "digit": digit,
                    "share": share,
                }
            )
        return found

    def decode(self, places: Array, digit: int = 0) -> Images:
        """Digits at places (n, 2) of the map, uint8, shape (n, 28, 28).

        Raises:
            InputError: If there is no map.
        """
        drawer, plane = self.mapped()
        return drawer.decode(plane.codes(places.astype(np.float64)), digit)

    def mapped(self) -> tuple[Drawer, Plane]:
        """What draws on the map, and its plane.

        Raises:
            InputError: If there is no map.
        """
        if self.drawer is None:
            raise InputError(self.why_no_map)
        if self.plane is None:
            if self.drawer.latent_dim == 2:
                return self.drawer, Plane(np.zeros((1, 2)))
            self.encoded.wait()
            if self.plane is None:
                raise InputError("The digits were not encoded, so there is no map of them; start again.")
        return self.drawer, self.plane

    def nearest(self, place: Array, digit: int = 0) -> dict[str, Any] | None:
        """The real digit nearest to a place (2,) of the map, as JSON values; None before there is any.

        Where the model is told the digit, only those count that are the `digit`.
        """
        validation = self.splits.validation
        apart = np.square(self.places - place).sum(1)
        if self.drawer is not None and self.drawer.by_digit and validation.labels is not None:
            apart[validation.labels[: len(apart)] != digit] = np.inf
        if not np.isfinite(apart).any():
            return None
        row = int(apart.argmin())
        label = None if validation.labels is None else int(validation.labels[row])
        image = base64.b64encode(validation.images[row].tobytes()).decode()
        return {"row": row, "label": label, "image": image}

    def read(self, images: Images) -> Array:
        """What the frozen reader sees: probabilities of the ten digits, shape (n, 10)."""
        found: Array = read_digits(frozen("reader")[0], images).numpy()
        return found

    @property
    def epochs(self) -> list[int]:
        """Epochs of the film's snapshots; none for a model that is no run, or has no map."""
        return self.run.snapshot_epochs() if self.run and isinstance(self.drawer, VaeDrawer) else []

    @functools.lru_cache(maxsize=16)  # noqa: B019  (one object for the life of the server)
    def snapshot(self, epoch: int) -> tuple[Array, Images]:
        """The points as they were after an epoch, float32, shape (n, 2), and the plane decoded, as in `plate`."""
        assert self.run is not None
        _, plane = self.mapped()
        drawer = VaeDrawer(load_model(self.run.snapshot(epoch))[0])
        codes, _ = drawer.encode(self.splits.validation.images, None)
        grid = plate(self.extent)
        return plane.places(codes).astype(np.float32), drawer.decode(plane.codes(grid), 0)

    @property
    def curves(self) -> dict[str, list[float]]:
        """Epochs, and training and validation loss after each, nats per image."""
        records = self.run.metrics() if self.run else []
        return {
            "epoch": [record["epoch"] for record in records],
            "train": [record["train"]["loss"] for record in records],
            "validation": [record["validation"]["loss"] for record in records],
        }

    @functools.cached_property
    def studio(self) -> tuple[Studio, bool]:
        """What draws digits to order, and whether it is the explored model itself; else it is the shipped studio."""
        if isinstance(self.drawer, StudioDrawer):
            return self.drawer.studio, True
        return Studio(PRETRAINED / "studio", threads=1), False

    def about(self) -> dict[str, Any]:
        """What the page has to know first, as JSON values."""
        validation = self.splits.validation
        latent = self.model.latent_dim
        return {
            "name": self.name,
            "kind": "run" if self.run else "model",
            "recipe": self.config.recipe,
            "latent": latent,
            "principal": latent > 2,
            "byDigit": bool(self.drawer and self.drawer.by_digit),
            "map": self.drawer is not None,
            "whyNoMap": self.why_no_map,
            "points": len(validation) if self.drawer else 0,
            "labels": None if validation.labels is None else validation.labels.tolist(),
            "dataName": self.data,
            "dataOption": None if self.data == data_of(self.name) else self.data,
            "dataDir": None if self.data_dir is None else str(self.data_dir),
            "digits": f"{len(validation):,} validation digits of {self.splits.title}",
            "seen": seen_in_training(self.facts, self.splits, "validation"),
            "epochs": self.epochs,
            "curves": self.curves,
            "ownStudio": self.drawer is not None and self.drawer.by_digit,
        }


def square(reach: float, steps: int) -> Array:
    """Places of a square grid from -reach to reach, row by row from the bottom, shape (steps * steps, 2)."""
    axis = np.linspace(-reach, reach, steps)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)


def plate(extent: float) -> Array:
    """The places of `PLATE` x `PLATE` digits as they are looked at: row by row from the top, shape (n, 2)."""
    return square(extent, PLATE).reshape(PLATE, PLATE, 2)[::-1].reshape(-1, 2)
