"""What every benchmark needs: the digits, the machine's facts, and one way to write down a result."""

from __future__ import annotations

import json
import platform
import resource
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from digitvae.data import Splits, load_splits
from digitvae.machine import processor_name
from digitvae.optimization import default_device

RESULTS = Path(__file__).parent / "results"
TARGET = 148.74
"""Validation loss of the original report's network after its 150 epochs, nats per image."""


def full_mnist() -> Splits:
    """All of MNIST: 48,000 digits to train on, 12,000 to validate with; nothing smaller will do."""
    return load_splits("mnist", fallback=False)


def hardware() -> dict[str, Any]:
    """The machine and the versions that a number was measured with."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor_name(),
        "cores": torch.get_num_threads(),
        "device": str(default_device()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def finish(name: str, command: str, result: dict[str, Any], columns: list[str], rows: list[list[str]]) -> None:
    """Print the table and the line of JSON, and keep both in ``benchmarks/results/NAME.json``.

    A result that was measured before, or elsewhere, brings its own `hardware`. The rows are kept too, so that
    `benchmarks.tables` writes into README and docs exactly what was measured.
    """
    table = Table(*columns, title=name)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    content = {
        "name": name,
        "command": command,
        "hardware": hardware(),
        **result,
        "table": {"columns": columns, "rows": rows},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content))
