"""The map, the film and the snapshots as a folder that opens from disk: no server, no network.

A page from disk may load scripts and nothing else, so all data is one script, ``data.js``. Digits are decoded once on a
fine grid over the plane; between its nodes the page blends the four around, bilinearly, and the folder says by how much
that differs from the decoder at most.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digitvae.data.files import folder_aside
from digitvae.errors import InputError
from digitvae.explorer.explored import Explored, square
from digitvae.explorer.pages import page_files
from digitvae.explorer.plane import Array, Images

NODES = 161
"""Nodes of the grid of digits on a side."""

REACH = 1.25
"""Half a side of that grid, as a multiple of the extent of the data."""

PLACES = 2000
"""Random places at which blended digits are held against the decoder's."""

VIEWS = ("map", "film")
"""Views that need no server."""

_ASIDE = ("source.js", "draw.js", "styles.js", "write.js")
"""Scripts that an exported folder does without; ``static.js`` stands for the first."""


@dataclass(frozen=True)
class Difference:
    """How blended digits differ from the decoder's, in grey levels of 255.

    Attributes:
        largest: Over all places and pixels.
        mean: Over all places and pixels.
        places: Random places that were looked at.
        reach: Half a side of the square that they lie in, and that is decoded at all.
    """

    largest: int
    mean: float
    places: int
    reach: float

    def sentence(self) -> str:
        """For people."""
        return (
            f"From −{self.reach:.1f} to {self.reach:.1f} digits are decoded on {NODES} × {NODES} nodes and blended "
            f"between them; there they differ from the decoder's by at most {self.largest} of 255 grey levels, "
            f"{self.mean:.2f} on average, at {self.places:,} random places. Farther out nothing is decoded."
        )


def export_folder(explored: Explored, out: Path, notify: Callable[[str], None] = lambda text: None) -> Difference:
    """Write the folder.

    Args:
        explored: What is shown; its points are encoded here where they are not yet.
        out: The new folder.
        notify: Told what is done next.

    Returns:
        How blended digits differ from the decoder's.

    Raises:
        InputError: If there is no map, or the model has to be told the digit.
        RunError: If `out` exists or cannot be written.
    """
    if explored.drawer is None or explored.drawer.by_digit:
        raise InputError(explored.why_no_map or "A model that is told the digit has one map for each; explore it.")
    if not explored.encoded.is_set():
        notify("Encoding")
        explored.encode()
    notify("Decoding")
    reach = explored.extent * REACH
    nodes = explored.decode(square(reach, NODES)).reshape(NODES, NODES, 784)
    difference = _difference(explored, nodes, reach)
    about = explored.about()
    views = [view for view in VIEWS if view == "map" or explored.epochs]
    snapshots = {}
    for epoch in explored.epochs:
        notify(f"Snapshot of epoch {epoch}")
        places, plate = explored.snapshot(epoch)
        snapshots[str(epoch)] = {"places": _packed(places), "plate": _packed(plate)}
    notify("Clusters")
    content: dict[str, Any] = {
        "about": {**about, "exported": views, "difference": difference.sentence()},
        "places": _packed(explored.places),
        "edge": explored.edge(),
        "clusters": explored.clusters,
        "nodes": {"steps": NODES, "reach": reach, "digits": base64.b64encode(zlib.compress(nodes.tobytes())).decode()},
        "snapshots": snapshots,
    }
    files = page_files()
    with folder_aside(out) as aside:
        (aside / "page").mkdir()
        for name, page in files.items():
            if name == "index.html":
                (aside / name).write_text(_static(page.decode()), encoding="utf-8")
            elif name not in _ASIDE:
                (aside / "page" / name).write_bytes(page)
        text = "window.DIGITVAE = " + json.dumps(content, separators=(",", ":")) + ";\n"
        (aside / "page" / "data.js").write_text(text, encoding="utf-8")
    return difference


def blended(nodes: Array, reach: float, places: Array) -> Array:
    """What the page shows at places (n, 2): the four nodes around, bilinearly; at the rim beyond it. Shape (n, 784)."""
    last = len(nodes) - 1
    spot = np.clip((places / reach + 1) / 2 * last, 0, last)
    low = np.minimum(spot.astype(int), last - 1)
    (a, b), (i, j) = (spot - low).T[:, :, None], low.T
    grey = nodes.astype(np.float32)
    found: Array = (1 - b) * ((1 - a) * grey[j, i] + a * grey[j, i + 1])
    found += b * ((1 - a) * grey[j + 1, i] + a * grey[j + 1, i + 1])
    return found.round()


def _difference(explored: Explored, nodes: Images, reach: float) -> Difference:
    places = np.random.default_rng(0).uniform(-reach, reach, (PLACES, 2))
    true = explored.decode(places).reshape(PLACES, 784).astype(np.float32)
    apart = np.abs(blended(nodes, reach, places) - true)
    return Difference(int(apart.max()), float(apart.mean()), PLACES, reach)


def _static(page: str) -> str:
    """The page with the scripts of an exported folder."""
    for name in _ASIDE[1:]:
        page = page.replace(f'<script src="page/{name}" defer></script>\n', "")
    data = '<script src="page/data.js" defer></script>\n<script src="page/static.js" defer></script>'
    return page.replace('<script src="page/source.js" defer></script>', data)


def _packed(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
