"""One measured number, with all that somebody needs to cite it."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A number and how it came about.

    Attributes:
        name: What tables call it.
        value: The number; NaN where it is undefined.
        unit: ``nats``, ``share`` (0 to 1) or empty.
        definition: One sentence that says what it is.
        n: Images it was measured on.
        spread: Standard deviation over the repetitions; None where there was one.
        over: What was repeated, such as ``5 binarisations``; empty where nothing was.
        settings: Whatever else changes it: k, sizes, seeds.
    """

    name: str
    value: float
    unit: str
    definition: str
    n: int
    spread: float | None = None
    over: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def repeated(
        cls, name: str, values: Sequence[float], what: str, unit: str, definition: str, n: int, **settings: Any
    ) -> Measure:
        """The mean of repetitions and their standard deviation; `what` is the plural of the repeated thing."""
        mean = sum(values) / len(values)
        if len(values) == 1:
            return cls(name, mean, unit, definition, n, settings=settings)
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        return cls(name, mean, unit, definition, n, spread, f"{len(values)} {what}", settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers become None."""
        content = asdict(self)
        for key in ("value", "spread"):
            if content[key] is not None and math.isnan(content[key]):
                content[key] = None
        return content


@functools.cache
def network_sha256(name: str) -> str:
    """SHA-256 of the file of a network that comes with the package and judges others: ``reader`` or ``features``."""
    file = resources.files("digitvae") / "pretrained" / f"{name}.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()
