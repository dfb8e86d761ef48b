"""How long the notebook takes from top to bottom, on the digits that come with the package.

Usage: python -m benchmarks.notebook
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from benchmarks.common import finish

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "generating_digits.ipynb"
GOAL = 180


def main() -> None:
    os.environ.pop("DIGITVAE_DATA", None)  # as for somebody who has just installed it
    notebook = nbformat.read(NOTEBOOK, 4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
        began = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - began
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    rows = [["from top to bottom", str(cells), f"{seconds:.0f} s", f"{GOAL} s"]]
    finish("notebook", "python -m benchmarks.notebook", {"run_seconds": seconds}, ["", "cells", "time", "goal"], rows)


if __name__ == "__main__":
    main()
