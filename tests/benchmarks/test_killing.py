"""What `benchmarks.kill` waits for before it kills; that `benchmarks.fuzz` can begin again after it found something."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
kill = pytest.importorskip("benchmarks.kill")
from benchmarks import fuzz  # noqa: E402

from digitvae.rundir import RunDirectory  # noqa: E402

RESUMED = """
import sys, time
time.sleep(0.3)
file = open(sys.argv[1], "w")
for epoch in range(100):
    file.write("a line\\n" * (3 if epoch == 0 else 1))
    file.flush()
    time.sleep(0.1)
"""


def test_a_line_that_was_noted_and_not_saved_is_no_new_epoch(tmp_path):
    """Three epochs were saved and four noted: a run that goes on has three again, and then a new fourth and fifth."""
    run = RunDirectory(tmp_path)
    run.metrics_file.write_text("a line\n" * 4)
    assert kill._killed([sys.executable, "-c", RESUMED, str(run.metrics_file)], run, 0) >= 5


def test_what_an_earlier_fuzzing_found_is_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stderr=""))
    (tmp_path / "PNG" / "corpus").mkdir(parents=True)
    for name in ("found.jsonl", "found-0123abcd", "crash-0123abcd"):
        (tmp_path / "PNG" / name).touch()
    assert fuzz.fuzz("PNG", 10)["found"] == []
    assert [path.name for path in (tmp_path / "PNG").iterdir()] == ["corpus"]
