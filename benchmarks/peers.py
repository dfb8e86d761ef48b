"""This project against pythae, the plain PyTorch loop and Keras: speed, memory, and loss after 1, 5 and 10 minutes.

Same digits, split and latent size; each in a virtual environment of its own, the peers with this project's torch. One
table has the same network (784-512-2-512-784, ReLU), batch, optimiser and precision (float32) for all; the other each
one's best settings: for the peers the same network with a larger batch and rate, bfloat16 and compilation where they
have them; for this project the same network too, and recipe `map`, a larger one whose schedule ends when the time does.

Usage: python -m benchmarks.peers [same|best]
Both, one after the other, without a word; some 100 minutes on a quiet machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.against_keras import environment, keras_environment
from benchmarks.common import finish, full_mnist

TIMES = (60, 300, 600)
ROUNDS = 5
HERE = Path(__file__).parent
TORCH = "torch>=2.9,<2.14"

OURS = "digitvae"
MAP = "digitvae, recipe map"
PLAIN = {"batch": 128, "learning_rate": 1e-3, "workers": 0, "bfloat16": False, "compile": False, "recipe": None}
BEST: dict[str, dict[str, Any]] = {
    OURS: {**PLAIN, "batch": 512, "learning_rate": 2e-3, "bfloat16": True},
    MAP: {**PLAIN, "recipe": "map"},
    "pythae": {**PLAIN, "batch": 512, "learning_rate": 2e-3},
    "PyTorch loop": {**PLAIN, "batch": 512, "learning_rate": 2e-3, "workers": 2, "bfloat16": True},
    "Keras (TensorFlow)": {**PLAIN, "batch": 512, "learning_rate": 2e-3, "compile": True},
}


def main(which: str) -> None:
    splits = full_mnist()
    settings = dict.fromkeys([name for name in BEST if name != MAP], PLAIN) if which == "same" else BEST
    own = [sys.executable, "-m", "benchmarks.peer_digitvae"]
    commands = {
        OURS: own,
        "pythae": [str(pythae_environment()), str(HERE / "peer_pythae.py")],
        "PyTorch loop": [sys.executable, str(HERE / "peer_loop.py")],
        "Keras (TensorFlow)": [str(keras_environment()), str(HERE / "peer_keras.py")],
    }
    if MAP in settings:
        commands[MAP] = own
    speeds: dict[str, list[float]] = {name: [] for name in commands}
    losses: dict[str, dict[int, float | None]] = {}
    taken: dict[str, dict[int, float]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.npz"
        np.savez(digits, train=splits.train.images, validation=splits.validation.images)
        for turn in range(ROUNDS):
            for name, command in commands.items():
                # Two epochs or more: the first warms up (graphs, kernels), the last counts.
                lines = run(command, digits, {**settings[name], "seconds": 12, "validate": False})
                before = lines[-2] if len(lines) > 1 else {"seconds": 0.0, "images": 0}
                span = lines[-1]["seconds"] - before["seconds"]
                speeds[name].append((lines[-1]["images"] - before["images"]) / span)
                print(which, turn + 1, name, f"{speeds[name][-1]:.0f} images/s", file=sys.stderr, flush=True)
        for name, command in commands.items():
            # A schedule must know when it ends, so a recipe runs once for each time, and what it ends with counts.
            recipe = settings[name]["recipe"] is not None
            runs = {}
            for seconds in TIMES if recipe else TIMES[-1:]:
                runs[seconds] = run(command, digits, {**settings[name], "seconds": seconds, "validate": True})
                print(which, name, json.dumps(runs[seconds][-1]), file=sys.stderr, flush=True)
            losses[name] = {
                seconds: runs[seconds][-1]["validation_loss"] if recipe else loss_at(runs[TIMES[-1]], seconds)
                for seconds in TIMES
            }
            taken[name] = {seconds: lines[-1]["seconds"] for seconds, lines in runs.items()} if recipe else {}
            memory[name] = max(line["peak_memory_mb"] for lines in runs.values() for line in lines)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    rows = [
        [name, f"{medians[name]:,.0f}", f"{len(splits.train) / medians[name]:.2f}", f"{memory[name]:.0f}"]
        + [written(loss, seconds, taken[name].get(seconds, 0.0)) for seconds, loss in losses[name].items()]
        for name in commands
    ]
    fastest = max(speed for name, speed in medians.items() if name not in (OURS, MAP))
    result = {
        "settings": settings,
        "images_per_second": speeds,
        "speedup": medians[OURS] / fastest,
        "losses": losses,
        "seconds_of_recipes": taken,
        "peak_memory_mb_of": memory,
        "versions": {name: versions(command[0]) for name, command in commands.items()},
        "data": splits.sha256,
    }
    columns = ["", "images/s", "s per epoch", "MB", *(f"loss after {seconds // 60} min" for seconds in TIMES)]
    finish(f"peers_{which}", f"python -m benchmarks.peers {which}", result, columns, rows)


def loss_at(lines: list[dict[str, Any]], seconds: float) -> float | None:
    """The loss of the last epoch that ended in time."""
    return next((line["validation_loss"] for line in reversed(lines) if line["seconds"] <= seconds), None)


def written(loss: float | None, seconds: float, taken: float) -> str:
    """A loss as the table shows it: it says what it took, where that was more than the time.

    >>> written(131.254, 60, 59.1), written(131.254, 60, 61.3), written(None, 60, 0)
    ('131.25', '131.25 (after 61 s)', '-')
    """
    if loss is None:
        return "-"
    return f"{loss:.2f}" + (f" (after {taken:.0f} s)" if taken > seconds else "")


def pythae_environment() -> Path:
    """Make the virtual environment once, with this project's torch; its Python."""
    return environment(HERE.parent / ".cache" / "pythae", TORCH, "pythae")


def versions(python: str) -> dict[str, str]:
    """The versions of what matters in an environment."""
    code = (
        "import importlib.metadata as m, json; there = {d.name: d.version for d in m.distributions()};"
        "print(json.dumps({n: there[n] for n in ('torch', 'pythae', 'keras', 'tensorflow-cpu') if n in there}))"
    )
    return dict(json.loads(subprocess.check_output([python, "-c", code], text=True)))


def run(command: list[str], digits: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines that a program prints; anything else that it prints is passed over."""
    done = subprocess.run([*command, str(digits), json.dumps(settings)], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    for which in sys.argv[1:] or ("same", "best"):
        main(which)
