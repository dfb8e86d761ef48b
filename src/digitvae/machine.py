"""What somebody else must know of a process and its machine to repeat what it did."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import digitvae


def machine_facts() -> dict[str, Any]:
    """What somebody else must know of this process to repeat it: command, versions, processor, source."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "digitvae": digitvae.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "instructions": _instructions(),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
    }


def processor_name() -> str:
    """The processor as the system names it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _instructions() -> str:
    """The widest vector instructions that PyTorch computes with, and whether there are units for bfloat16 matrices."""
    vectors = torch.backends.cpu.get_cpu_capability()
    return f"{vectors}, AMX" if torch.cpu._is_amx_tile_supported() else vectors


def _git_commit() -> str | None:
    """The commit of the source tree that runs, where it is one; an installed copy has none."""
    folder = Path(__file__).resolve().parent
    if not any((parent / ".git").exists() for parent in folder.parents[:2]):
        return None
    try:
        command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
