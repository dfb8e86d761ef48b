"""Coverage-guided fuzzing of every reader of files: does a bad file give one of our errors, soon and in little memory?

Each reader has a process and an equal share of the time. What is found is kept in ``build/fuzz/READER``: the inputs,
and the corpus, from which the next call goes on. A process that hangs or dies is started anew for what is left.

Needs atheris, which nothing else does: `make fuzz` installs it.

Usage: python -m benchmarks.fuzz [SECONDS], 600 where left out.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import time
from typing import Any

from benchmarks.common import finish
from benchmarks.lock import ROOT

COMMAND = "python -m benchmarks.fuzz"
SECONDS = 600
READERS = ("IDX", "npz", "PNG", "Parquet", "recipe", "training-state", "weights", "model-recipe", "hands", "knobs")
FOLDER = ROOT / "build" / "fuzz"
ENDINGS = {70: "hang", 71: "memory"}
"""What exit codes of libFuzzer mean."""


def fuzz(name: str, seconds: float) -> dict[str, Any]:
    """Fuzz one reader: how many inputs it took, how long, and what was found."""
    folder = FOLDER / name
    for old in (*folder.glob("found*"), *folder.glob("*-*")):
        old.unlink(missing_ok=True)  # what is called found-... is of both kinds
    executions, took, endings = 0, 0.0, []
    while took < seconds - 1 and len(endings) < 10:
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.fuzz_targets", name, str(folder), f"{seconds - took:.0f}"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        executions += executed(done.stderr)
        took += time.perf_counter() - began
        if done.returncode == 0:
            break
        kind = ENDINGS.get(done.returncode, f"ended with {done.returncode}")
        endings.append({"kind": kind, "words": done.stderr[-1000:], "where": "", "input": ""})
    noted = folder / "found.jsonl"
    lines = noted.read_text(encoding="utf-8").splitlines() if noted.is_file() else []
    return {"executions": executions, "seconds": took, "found": [*map(json.loads, lines), *endings]}


def executed(output: str) -> int:
    """How many inputs libFuzzer says that it has tried."""
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    return int(found[1]) if found else 0


def row(name: str, result: dict[str, Any]) -> list[str]:
    """A row of the table."""
    kinds = sorted({f"{one['kind']} {one['where']}".strip() for one in result["found"]})
    return [name, f"{result['executions']:,}", f"{result['seconds']:.0f} s", ", ".join(kinds) or "nothing"]


def main(seconds: int) -> None:
    if importlib.util.find_spec("atheris") is None:
        sys.exit("Fuzzing needs atheris: run `make fuzz`, or `pip install atheris`.")
    results = {name: fuzz(name, seconds / len(READERS)) for name in READERS}
    rows = [row(name, result) for name, result in results.items()]
    columns = ["reader of", "inputs tried", "time", "found"]
    command = COMMAND if seconds == SECONDS else f"{COMMAND} {seconds}"
    finish("fuzz", command, {"readers": results}, columns, rows)
    if any(result["found"] for result in results.values()):
        sys.exit(f"Something was found: the inputs are in {FOLDER}.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
