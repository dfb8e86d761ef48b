"""The command line as a user meets it: real processes, exit codes, one sentence for bad input."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from tests.commands import digitvae
from typer.main import get_command
from typer.testing import CliRunner

from digitvae import running
from digitvae.cli import app
from digitvae.rundir import RunDirectory
from digitvae.running import Outcome

SMALL = ["--data", "mnist-5k", "--set", "encoder=[16]", "--set", "decoder=[16]"]


def commands(group, *words):
    """All commands below a group, each as the words that call it and its docstring."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield [*words, name], command.help


HELP = {" ".join(words): text for words, text in commands(get_command(app))}


def test_help_lists_what_the_command_is_for():
    command = [sys.executable, "-m", "digitvae", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "digitvae demo" in done.stdout
    assert {"train", "generate", "dataset numbers", "explore"} <= HELP.keys()


@pytest.mark.parametrize("command", HELP)
def test_help_shows_each_example_on_a_line_of_its_own(command):
    examples = re.findall(r"^- `([^`]+)`", HELP[command], re.MULTILINE)
    assert all(f"digitvae {command}" in example for example in examples)
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).stdout
    first_lines = [line.partition("•")[2].strip() for line in shown.splitlines() if "•" in line]
    assert examples
    assert [line[: len(example)] for line, example in zip(first_lines, examples, strict=True)] == examples


@pytest.mark.parametrize(("module", "unneeded"), [("cli", "torch"), ("terminal", "sklearn")])
def test_help_does_not_wait_for_torch_nor_training_for_scikit_learn(module, unneeded):
    code = f"import sys, digitvae.{module}; assert '{unneeded}' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "mapp"], "did you mean 'map'?"),
        (["train", "gan"], "digitvae compare --models gan"),
        (["train", "--set", "epoch=3"], "did you mean 'epochs'?"),
        (["train", "--set", "epochs"], "write it as key=value"),
        (["train", "--set", "network=mpl"], "did you mean 'mlp'?"),
        (["train", "--epochs", "0"], "must be 1 or more"),
        (["train", "--set", "batch_size=0"], "must be 1 or more"),
        (["train", "--set", "encoder=big"], "must be a list"),
        (["train", "--snapshots", "a,b"], "training.snapshots must be a list"),
        (["train", "--data", "nowhere.npz"], "nowhere.npz"),
        (["train", "--resume", "--out", "nowhere"], "not a run directory"),
        (["train", "--resume", "--seed", "3"], "cannot be changed"),
        (["report", "nowhere"], "not a run directory"),
        (["evaluate", "nowhere"], "neither a run directory nor a model folder"),
        (["score", "nowhere.png", "--model", "nowhere"], "nowhere.png"),
        (["compare", "-o", "c", "--models", "stduio", "--data", "mnist-5k"], "takes no part in the comparison"),
        (["train", "exact", "--set", "lattice=[1000]", "--data", "mnist-5k"], "such as 987"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, sentence, tmp_path):
    done = digitvae(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_train_resume_and_overwrite(tmp_path):
    out = tmp_path / "run"
    first = digitvae("train", "map", *SMALL, "--epochs", 2, "--out", out)
    assert first.returncode == 0
    assert first.stderr.endswith(f"digitvae report {out}\n")
    refused = digitvae("train", "map", *SMALL, "--epochs", 2, "--out", out)
    assert refused.returncode == 2
    assert "exists" in refused.stderr
    longer = digitvae("train", "--out", out, "--resume", "--epochs", 3)
    assert longer.returncode == 0
    assert "new learning-rate schedule" in longer.stderr
    assert len(RunDirectory(out).metrics()) == 3
    other = digitvae("train", "seed", "--out", out, "--resume")
    assert other.returncode == 2
    assert "not 'seed'" in other.stderr
    again = digitvae("train", "map", *SMALL, "--epochs", 1, "--out", out, "--overwrite")
    assert again.returncode == 0
    assert len(RunDirectory(out).metrics()) == 1


def test_same_seed_same_weights(tmp_path):
    for name in ("a", "b"):
        assert digitvae("train", *SMALL, "--epochs", 1, "--seed", 7, "--out", tmp_path / name).returncode == 0
    first, second = (RunDirectory(tmp_path / name).best / "model.safetensors" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def wait_for(process, there):
    """Until something is there that the process makes, and while it lives."""
    deadline = time.monotonic() + 60
    while not there():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "digitvae", "train", *SMALL, "--epochs", "100000", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(process, (out / "metrics.jsonl").is_file)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"digitvae train --out {out} --resume" in said
    assert "Traceback" not in said
    epochs = len(RunDirectory(out).metrics())
    resumed = digitvae("train", "--out", out, "--resume", "--epochs", epochs + 2)
    assert resumed.returncode == 0
    assert len(RunDirectory(out).metrics()) == epochs + 2


@pytest.mark.parametrize("there", [False, True], ids=["new", "resumed"])
def test_a_stopped_demo_goes_on_as_a_demo(there, tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "[demo]")
    if there:
        run.state_file.parent.mkdir(parents=True)
        run.state_file.touch()
    stopped = Outcome(run, 3, complete=False, best_epoch=3, best_loss=150.0)
    monkeypatch.setattr(running, "resume_run" if there else "train_run", lambda *_, **__: stopped)
    monkeypatch.setattr(RunDirectory, "data_name", lambda self: "mnist-5k")
    done = CliRunner().invoke(app, ["demo", "--out", str(run.path)])
    assert done.exit_code == 130
    assert done.output.endswith(f"Go on with:\n  digitvae demo --out {run.path}\n")


def test_sigterm_leaves_nothing_half_written(tmp_path):
    """As a batch system, or a session that ends, sends it."""
    command = [sys.executable, "-m", "digitvae", "generate", "-n", "1000000", "-o", "all.npz"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(process, lambda: list(tmp_path.iterdir()))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_progress_bar_shows_epoch_terms_and_time_left(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "digitvae", "train", *SMALL, "--epochs", "12", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "/12" in text
    assert "validation" in text
    assert "left" in text


@pytest.mark.slow
def test_demo_trains_and_writes_a_report_and_goes_on_from_there(tmp_path):
    first = digitvae("demo", "--epochs", 2, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    report = tmp_path / "runs" / "demo" / "report.html"
    assert "Report: runs/demo/report.html" in first.stderr
    html = report.read_bytes()
    assert html.startswith(b"<!DOCTYPE html>")
    again = digitvae("demo", "--epochs", 2, cwd=tmp_path)
    assert again.returncode == 0
    assert "trained to its end" in again.stderr
    assert report.read_bytes() == html
    written = digitvae("report", "runs/demo", cwd=tmp_path)
    assert written.returncode == 0
    assert report.read_bytes() == html
