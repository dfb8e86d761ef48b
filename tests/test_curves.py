"""Curves for TensorBoard: what a run measured, read back by TensorBoard itself."""

import builtins
import json

import pytest
from typer.testing import CliRunner

from digitvae.cli import app
from digitvae.errors import InputError

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

ARGUMENTS = ["train", "map", "--data", "mnist-5k", "--set", "encoder=[8]", "--set", "decoder=[8]", "--tensorboard"]


def test_curves_are_the_runs_own_numbers_after_a_resumption_too(tmp_path):
    run = tmp_path / "run"
    assert CliRunner().invoke(app, [*ARGUMENTS, "--epochs", "2", "--out", str(run)]).exit_code == 0
    more = ["train", "--out", str(run), "--resume", "--epochs", "3", "--tensorboard"]
    assert CliRunner().invoke(app, more).exit_code == 0
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    read = accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    for part in ("train", "validation"):
        for name in ("loss", "rate", "distortion"):
            found = read.Scalars(f"{name}/{part}")
            assert [event.step for event in found] == [1, 2, 3]
            assert [event.value for event in found] == pytest.approx([r[part][name] for r in records], rel=1e-6)
    assert len(read.Scalars("learning_rate")) == 3


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    refused = CliRunner().invoke(app, [*ARGUMENTS, "--epochs", "1", "--out", str(tmp_path / "run")])
    assert isinstance(refused.exception, InputError)
    assert "digitvae[tensorboard]" in str(refused.exception)
    assert not (tmp_path / "run").exists()
