"""Several real processes that train one model: the same run as one process, one writer, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from tests.commands import digitvae

from digitvae.checkpoint import load_model, load_state
from digitvae.config import Config
from digitvae.errors import ConfigError, RunError
from digitvae.processes import ALONE, Team, joined
from digitvae.training import Trainer, stream_seed
from digitvae.validation import evaluate_terms

BASE = ["--data", "mnist-5k", "--set", "encoder=[24]", "--set", "decoder=[24]", "--set", "precision=float32"]
RECIPES = {
    "elbo": ["map", "--set", "batch_size=333", "--set", "average=0.9"],
    "conditioned": ["studio", "--set", "batch_size=256", "--set", "flow_layers=2", "--set", "flow_width=8"],
    "quadrature": ["exact", "--set", "lattice=[55]", "--set", "batch_size=256", "--set", "frequency=2"],
}


def launched(processes: int, *arguments: object, **options: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [*command, "-m", "digitvae", "train", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def metrics(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def terms(path: Path) -> np.ndarray:
    records = metrics(path)
    return np.array([[r[part][name] for part in ("train", "validation") for name in ("loss", "rate")] for r in records])


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_train_as_one_does(recipe, tmp_path):
    arguments = [*RECIPES[recipe], *BASE, "--epochs", 2]
    for processes in (1, 2):
        done = digitvae("train", *arguments, "--out", tmp_path / str(processes), processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("Trained 2 epochs") == 1  # one of them speaks
    np.testing.assert_allclose(terms(tmp_path / "2"), terms(tmp_path / "1"), rtol=1e-3)
    states = [load_state(tmp_path / each / "checkpoints" / "last" / "training.safetensors")[1] for each in "12"]
    assert states[0]["sums"]["images"] == states[1]["sums"]["images"] == 3200
    assert [record["epoch"] for record in metrics(tmp_path / "2")] == [1, 2]
    assert json.loads((tmp_path / "2" / "manifest.json").read_text())["sessions"][0]["processes"] == 2


def test_the_statistics_of_batch_normalisation_are_those_of_all_processes(splits_5k, tmp_path):
    """The model that is saved is the one that both have validated, each on its own part of the digits."""
    small = ["seed", *BASE, "--set", "encoder=[4,8]", "--set", "decoder=[4]", "--set", "learning_rate=0.01"]
    done = digitvae("train", *small, "--epochs", 1, "--out", tmp_path / "run", processes=2)
    assert done.returncode == 0, done.stderr
    (record,) = metrics(tmp_path / "run")
    model, config = load_model(tmp_path / "run" / "checkpoints" / "best")
    images = torch.from_numpy(splits_5k.validation.images).unsqueeze(1)
    again = evaluate_terms(model, images, 1.0, stream_seed(config.training.seed, "validation"))
    assert record["validation"]["loss"] == pytest.approx(again["loss"], rel=1e-5)


def started(process: subprocess.Popen, run: Path) -> list[psutil.Process]:
    """The processes that train, once a first epoch is on disk."""
    deadline = time.monotonic() + 90
    while not (run / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children()
    return [child for child in children if "digitvae" in " ".join(child.cmdline())]


LONG = ["map", *BASE, "--epochs", 5000, "--set", "batch_size=64"]


def test_a_killed_process_ends_the_others_and_the_last_checkpoint_is_good(tmp_path):
    run = tmp_path / "run"
    process = launched(2, *LONG, "--out", run, start_new_session=True)
    try:
        team = started(process, run)
        assert len(team) == 2
        team[1].kill()
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert process.returncode != 0
        assert "--resume" in said
        assert all(not member.is_running() for member in team)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    _, facts = load_state(run / "checkpoints" / "last" / "training.safetensors")
    done = facts["epoch"]
    again = digitvae("train", "--out", run, "--resume", "--epochs", done + 1, processes=2)
    assert again.returncode == 0, again.stderr
    assert metrics(run)[-1]["epoch"] == done + 1


def test_a_stop_is_agreed_on_and_saved_once(tmp_path):
    run = tmp_path / "run"
    process = launched(2, *LONG, "--out", run, start_new_session=True)
    team = started(process, run)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert said.count("and saved. Go on with") == 1
    assert all(not member.is_running() for member in team)
    _, facts = load_state(run / "checkpoints" / "last" / "training.safetensors")
    assert facts["epoch"] >= 1


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RunError, match="4 processes on this machine and 2 GPUs"), joined():
        pass


def test_processes_wait_for_each_other_longer_than_an_evaluation_takes(monkeypatch):
    asked = {}

    def refuse(backend, **options):
        asked.update(options)
        raise ValueError("nobody is there")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    with pytest.raises(RunError, match=r"nobody is there\); start them with torchrun"), joined():
        pass
    assert asked["timeout"] >= timedelta(hours=4)


def test_parts_cover_a_batch_once():
    for n in (0, 1, 2, 7, 100):
        for size in (1, 2, 3, 5):
            parts = [list(range(n))[Team(rank, size).part(n)] for rank in range(size)]
            assert [each for part in parts for each in part] == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_is_exchanged():
    with joined() as team:
        assert team == ALONE
    one = torch.tensor([1.0, 2.0])
    ALONE.add_up([one])
    assert one.tolist() == [1, 2]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    ALONE.wait()


def test_batch_normalisation_needs_two_digits_in_each_part(digits):
    config = Config().with_settings(["network=conv", "encoder=[4,8]", "decoder=[4]", "batch_size=6"])
    with pytest.raises(ConfigError, match="each of 4 processes"):
        Trainer(config, digits[:60], digits[:5], team=Team(0, 4))
    Trainer(config, digits[:60], digits[:5], team=Team(0, 3))
