"""SIGKILL at random moments of a run: can it always go on, and what is lost?

A small model, so that epochs end and files are written many times a second: most moments fall near a write. Every
second moment is counted from the start of the process instead, so that it falls among what a start reads and writes.
After each kill the training state must have its checksum, the best model must load, and the run must go on; no more
than one finished epoch may be lost. At the end every epoch has its one line in ``metrics.jsonl``.

Usage: python -m benchmarks.kill [MOMENTS], 200 where left out.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common import finish, peak_memory_mb
from digitvae.checkpoint import load_model, load_state
from digitvae.rundir import RunDirectory, find_model

COMMAND = "python -m benchmarks.kill"
MOMENTS = 200
LONGEST = 0.5
"""Seconds after the first new epoch within which the moment lies."""

STARTING = (1.0, 6.0)
"""Seconds after the start of the process between which the other moments lie: PyTorch takes the first of them."""

SMALL = ("--set", "encoder=[16]", "--set", "decoder=[16]", "--set", "augmentation=0")


def main(moments: int) -> None:
    began = time.perf_counter()
    lost, epochs = [], 0
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        train = [sys.executable, "-m", "digitvae", "train", "--out", str(run.path)]
        command = [*train, "map", "--data", "mnist-5k", "--epochs", "1000000", "--snapshots", "1", *SMALL]
        for number, moment in enumerate(np.random.default_rng(0).uniform(0, 1, moments)):
            if number % 2:
                seen = _killed_at(command, run, STARTING[0] + moment * (STARTING[1] - STARTING[0]))
            else:
                seen = _killed(command, run, moment * LONGEST)
            if not run.state_file.exists():
                continue  # nothing was saved yet: the same command begins anew
            epochs = int(load_state(run.state_file)[1]["epoch"])
            if epochs:
                load_model(find_model(str(run.path)))
            lost.append(seen - epochs)
            assert lost[-1] <= 1, f"{lost[-1]} finished epochs were lost at moment {number}"
            command = [*train, "--resume"]
        subprocess.run([*train, "--resume", "--epochs", str(epochs + 1)], check=True, capture_output=True)
        assert [record["epoch"] for record in run.metrics()] == list(range(1, epochs + 2))
    result = {
        "moments": moments,
        "finished_epochs_lost": lost,
        "seconds": time.perf_counter() - began,
        "peak_memory_mb": peak_memory_mb(),
    }
    rows = [
        ["killed", f"{moments:,} times"],
        ["of these while it started", f"{moments // 2:,} times"],
        ["went on", f"{moments:,} times"],
        ["finished epochs lost, most at once", str(max(lost))],
        ["epochs trained in all", f"{epochs + 1:,}"],
    ]
    finish("kill", COMMAND if moments == MOMENTS else f"{COMMAND} {moments}", result, ["what", "found"], rows)


def _killed_at(command: list[str], run: RunDirectory, moment: float) -> int:
    """Go on, and kill after so many seconds, whatever it is doing; the epochs that were noted by then."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
        assert process.stderr is not None
        sys.exit(f"The run could not go on: {process.stderr.read()}")
    process.kill()
    process.communicate()
    return _noted(run)


def _killed(command: list[str], run: RunDirectory, moment: float) -> int:
    """Go on until a new epoch is noted, wait, kill; the epochs that were noted by then.

    What was noted before may be an epoch more than was saved: its line is dropped and written again, and counts for
    nothing here.
    """
    before = _noted(run)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while _noted(run) <= before:
        if process.poll() is not None:
            assert process.stderr is not None
            sys.exit(f"The run could not go on after epoch {before}: {process.stderr.read()}")
        time.sleep(0.005)
    time.sleep(moment)
    process.kill()
    process.communicate()
    return _noted(run)


def _noted(run: RunDirectory) -> int:
    """Whole lines of metrics: each stands for an epoch that was finished."""
    return run.metrics_file.read_bytes().count(b"\n") if run.metrics_file.is_file() else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MOMENTS)
