"""How fast digits and numbers come, in processes of their own: what a user waits for, start and writing included.

Run it alone on a quiet machine. Operations are those of the model's matrix products; the share of the peak sets them
against the fastest float32 product that this machine reaches with the same library (1,000 rows, 1,024 x 1,024).

Usage: python -m benchmarks.drawing [MODEL]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.common import finish, spread
from digitvae.checkpoint import load_model
from digitvae.rundir import find_model
from digitvae.studio import CHUNK, Studio

REPEATS = 5
DIGITS, NUMBERS = 60_000, 10_000


def main(model: str = "studio") -> None:
    first = [
        seconds_of(["generate", "-n", "1", "--digit", "7", "-o", "{}/{}.npz", "--model", model]) for _ in range(REPEATS)
    ]
    idx = [
        seconds_of(["generate", "-n", str(DIGITS), "--format", "idx", "-o", "{}/{}", "--model", model])
        for _ in range(REPEATS)
    ]
    several = ["dataset", "numbers", "-n", str(NUMBERS), "--pattern", "[0-9]{{8}}", "-o", "{}/{}", "--model", model]
    numbers = [seconds_of(several) for _ in range(3)]
    operations = flops(model)
    rate, best = drawing_rate(model), matrix_rate()
    share = operations * rate / best
    result = {
        "model": model,
        "first_seconds": spread(first),
        "idx_seconds": spread(idx),
        "numbers_seconds": spread(numbers),
        "flop_per_digit": operations,
        "digits_per_second": rate,
        "flop_per_second_best": best,
        "share_of_peak": share,
    }
    rows = [
        ["one digit, from the start of the command", timed(result["first_seconds"]), "2 s"],
        [f"{DIGITS:,} labelled digits as IDX, less the start", f"{np.median(idx) - np.median(first):.2f} s", "3 s"],
        [f"{NUMBERS:,} numbers of eight digits, PNG and boxes", timed(result["numbers_seconds"]), "60 s"],
        ["million operations for a digit", f"{operations / 1e6:.2f}", "4"],
        ["digits drawn a second, nothing written", f"{rate:,.0f}", ""],
        ["share of the machine's float32 rate", f"{share:.0%}", ""],
    ]
    finish("drawing", "python -m benchmarks.drawing", result, ["what", "median (least to most)", "goal"], rows)


def seconds_of(arguments: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "digitvae", *(text.format(folder, "out") for text in arguments)]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


def timed(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} s ({found['min']:.2f} to {found['max']:.2f})"


def flops(model: str) -> int:
    """Two for each weight of a matrix of decoder and prior."""
    vae, _ = load_model(find_model(model))
    return 2 * sum(p.numel() for part in (vae.decoder, vae.prior) for p in part.parameters() if p.ndim == 2)


def drawing_rate(model: str) -> float:
    studio, labels = Studio.load(model), np.arange(CHUNK) % 10
    noise = np.random.default_rng(0).normal(size=(CHUNK, studio.latent_dim))
    studio.draw(noise, labels)
    began = time.perf_counter()
    for _ in range(20):
        studio.draw(noise, labels)
    return 20 * CHUNK / (time.perf_counter() - began)


def matrix_rate() -> float:
    """Operations a second of the library's own matrix product."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [CHUNK, 1024]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", [x], [y], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"x": np.random.default_rng(1).normal(size=(CHUNK, 1024)).astype(np.float32)}
    session.run(None, feed)
    began = time.perf_counter()
    for _ in range(50):
        session.run(None, feed)
    return 50 * 2 * CHUNK * 1024 * 1024 / (time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:2])
