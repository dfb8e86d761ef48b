"""A run's life on disk: what is written, how it stops and goes on, and what happens when something breaks."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from digitvae.checkpoint import load_model, load_state
from digitvae.config import load_recipe
from digitvae.data import Digits, Splits
from digitvae.errors import RunError, TrainingDivergedError
from digitvae.rundir import RunDirectory, find_model
from digitvae.running import AT_ONCE, Watcher, resume_run, stop_on_signals, train_run

SETTINGS = ["encoder=[32]", "decoder=[32]", "batch_size=64", "data.name=mnist-5k", "precision=float32"]


@pytest.fixture(scope="module")
def few(splits_5k):
    """The bundled digits, cut to 300 for training and 100 for validation."""
    return dataclasses.replace(
        splits_5k, train=splits_5k.train.subset(np.arange(300)), validation=splits_5k.validation.subset(np.arange(100))
    )


def recipe(*settings):
    return load_recipe("map").with_settings([*SETTINGS, *settings])


def stop_after(steps):
    """A stop function that answers True after it was asked for the given number of steps."""
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


def assert_same_state(first, second):
    (tensors, facts), (other_tensors, other_facts) = (load_state(run.state_file) for run in (first, second))
    assert tensors.keys() == other_tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, other_tensors[name]), name
    for each in (facts, other_facts):
        each.pop("epoch_seconds")
    assert facts == other_facts


def measured(run):
    """The numbers of metrics.jsonl that do not depend on the clock."""
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in run.metrics()]


def test_a_run_leaves_what_later_stages_need(few, tmp_path):
    outcome = train_run(recipe("epochs=3", "snapshots=[1,2]"), few, tmp_path / "run")
    run = outcome.run
    assert outcome.complete
    assert outcome.epoch == 3
    assert run.snapshot_epochs() == [1, 2, 3]
    assert [r["epoch"] for r in run.metrics()] == [1, 2, 3]
    assert run.config() == recipe("epochs=3", "snapshots=[1,2]")
    manifest = run.manifest()
    assert manifest["data"]["sha256"] == few.sha256
    assert manifest["sessions"][0]["to_epoch"] == 3
    losses = [r["validation"]["loss"] for r in run.metrics()]
    assert outcome.best_loss == min(losses) == losses[outcome.best_epoch - 1]
    card = (run.best / "README.md").read_text()
    assert few.sha256 in card
    assert f"{min(losses):.2f}" in card


def test_best_model_scores_what_the_metrics_say(few, tmp_path):
    from digitvae.training import stream_seed
    from digitvae.validation import evaluate_terms

    outcome = train_run(recipe("epochs=2"), few, tmp_path / "run")
    model, config = load_model(outcome.run.best)
    images = torch.from_numpy(few.validation.images).unsqueeze(1)
    again = evaluate_terms(model, images, 1.0, stream_seed(config.training.seed, "validation"))
    assert again["loss"] == pytest.approx(outcome.best_loss, abs=1e-4)


@pytest.mark.parametrize("steps", [2, 15, 16, 20])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_and_resumed_equals_unbroken(few, tmp_path, steps, precision):
    config = recipe("epochs=6", f"precision={precision}", "augmentation=0.5", "average=0.9", "binarization=dynamic")
    whole = train_run(config, few, tmp_path / "whole").run
    outcome = train_run(config, few, tmp_path / "broken", stop=stop_after(steps))
    assert not outcome.complete
    again = resume_run(tmp_path / "broken", few)
    assert again.complete
    assert_same_state(whole, again.run)
    assert measured(whole) == measured(again.run)
    for epoch in whole.snapshot_epochs():
        first, second = (load_model(r.snapshot(epoch))[0].state_dict() for r in (whole, again.run))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_resume_beyond_the_plan_starts_a_new_schedule_and_says_so(few, tmp_path):
    said = []

    class Listening(Watcher):
        def said(self, text):
            said.append(text)

    train_run(recipe("epochs=2", "schedule=linear", "warmup=0"), few, tmp_path / "run")
    outcome = resume_run(tmp_path / "run", few, epochs=4, watcher=Listening())
    rates = [r["learning_rate"] for r in outcome.run.metrics()]
    peak = recipe().training.learning_rate
    # At the last of five steps of each epoch.
    assert rates == pytest.approx([0.6 * peak, 0.1 * peak, 0.6 * peak, 0.1 * peak])
    assert "epoch 3" in said[0]
    assert outcome.run.config().training.epochs == 4
    with pytest.raises(RunError, match="has 4 epochs already"):
        resume_run(tmp_path / "run", few, epochs=3)


def test_a_new_plan_that_is_killed_at_once_keeps_its_schedule(few, tmp_path):
    train_run(recipe("epochs=2", "schedule=linear", "warmup=0"), few, tmp_path / "run")
    resume_run(tmp_path / "run", few, epochs=4, stop=stop_after(1))
    shutil.copytree(tmp_path / "run", tmp_path / "soft")

    class Dying(Watcher):
        def started(self, *_):
            raise KeyboardInterrupt

    train_run(recipe("epochs=2", "schedule=linear", "warmup=0"), few, tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        resume_run(tmp_path / "killed", few, epochs=4, watcher=Dying())
    rates = [
        [r["learning_rate"] for r in resume_run(tmp_path / name, few).run.metrics()] for name in ("soft", "killed")
    ]
    assert rates[0] == rates[1]


def test_a_finished_run_is_left_as_it_is(few, tmp_path):
    run = train_run(recipe("epochs=1"), few, tmp_path / "run").run
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert resume_run(tmp_path / "run", few).complete
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_lines_of_lost_epochs_are_written_again(few, tmp_path):
    run = train_run(recipe("epochs=3"), few, tmp_path / "run", stop=stop_after(12)).run
    before = run.metrics()
    with run.metrics_file.open("a") as file:
        file.write('{"epoch": 3, "train": {"lo')
    with pytest.raises(RunError, match="line 3 is torn"):
        run.metrics()
    resume_run(tmp_path / "run", few)
    assert run.metrics()[:2] == before
    assert [r["epoch"] for r in run.metrics()] == [1, 2, 3]


def test_patience_stops_a_run_that_no_longer_improves(few, tmp_path):
    outcome = train_run(recipe("epochs=50", "learning_rate=1e-12", "patience=2", "average=0"), few, tmp_path / "run")
    assert outcome.complete
    assert outcome.epoch < 50
    assert outcome.epoch - outcome.best_epoch == 2
    assert outcome.run.snapshot_epochs()[-1] == outcome.epoch


def test_what_is_there_is_never_overwritten_unasked(few, tmp_path):
    config = recipe("epochs=1")
    train_run(config, few, tmp_path / "run")
    with pytest.raises(RunError, match="--overwrite"):
        train_run(config, few, tmp_path / "run")
    train_run(config, few, tmp_path / "run", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for content in (None, "baseURL = 'https://example.org/'\n", "", config.to_toml()):  # a site's, or a recipe alone
        if content is not None:
            (tmp_path / "mine" / "config.toml").write_text(content)
        with pytest.raises(RunError, match="not a run directory"):
            train_run(config, few, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_model_that_was_moved_away_when_the_run_was_killed_is_put_back(few, tmp_path):
    run = train_run(recipe("epochs=1"), few, tmp_path / "run").run
    old = run.best.rename(run.best.with_name("best.old"))
    load_model(find_model(str(run.path)))
    resume_run(run.path, few)
    load_model(run.best)
    assert not old.exists()


@pytest.mark.parametrize("left", [["config.toml.part"], ["config.toml"], ["config.toml", "manifest.json"]])
def test_a_run_killed_before_it_saved_anything_starts_anew(few, tmp_path, left):
    train_run(recipe("epochs=1"), few, tmp_path / "whole")
    (tmp_path / "run").mkdir()
    for name in left:
        content = (tmp_path / "whole" / name.removesuffix(".part")).read_bytes()
        (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(RunError, match="stopped before anything was saved; start it again"):
        resume_run(tmp_path / "run", few)
    assert train_run(recipe("epochs=1"), few, tmp_path / "run").complete
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", "notes.part"])
def test_what_somebody_else_calls_so_is_no_run_of_ours(few, tmp_path, name):
    (tmp_path / name).write_text("[tool]\nname = 'mine'\n")
    with pytest.raises(RunError, match="exists"):
        train_run(recipe("epochs=1"), few, tmp_path)
    assert (tmp_path / name).read_text() == "[tool]\nname = 'mine'\n"


def test_other_recipe_or_other_digits_are_refused(few, tmp_path):
    train_run(recipe("epochs=2"), few, tmp_path / "run", stop=stop_after(6))
    with pytest.raises(RunError, match="recipe 'map', not 'seed'"):
        resume_run(tmp_path / "run", few, recipe="seed")
    with pytest.raises(RunError, match="the digits given now are others"):
        resume_run(tmp_path / "run", dataclasses.replace(few, sha256="0" * 64))
    run = RunDirectory(tmp_path / "run")
    run.config_file.write_text(recipe("epochs=2", "encoder=[16]").to_toml())
    with pytest.raises(RunError, match="another recipe"):
        resume_run(tmp_path / "run", few)


def test_divergence_stops_with_the_place_and_keeps_the_last_epoch(few, tmp_path):
    config = recipe("epochs=3", "learning_rate=1e30", "warmup=0", "augmentation=0")
    with pytest.raises(TrainingDivergedError, match=r"epoch 1, step \d"):
        train_run(config, few, tmp_path / "run")
    assert load_state(RunDirectory(tmp_path / "run").state_file)[1]["epoch"] == 0


def test_a_collapsed_dimension_is_said_in_plain_words(few, tmp_path):
    said = []

    class Listening(Watcher):
        def said(self, text):
            said.append(text)

    train_run(
        recipe("epochs=20", "beta=100", "beta_warmup=0", "learning_rate=0.01", "snapshots=[20]"),
        few,
        tmp_path / "run",
        watcher=Listening(),
    )
    assert any("has collapsed" in text for text in said)


def test_a_full_disk_is_said_and_the_last_epoch_stays_good(few, tmp_path, monkeypatch):
    from digitvae import checkpoint, running

    calls = iter(range(100))

    def full(*arguments):
        if next(calls) == 2:
            raise RunError("Cannot write training.safetensors: No space left on device.")
        return checkpoint.save_state(*arguments)

    monkeypatch.setattr(running, "save_state", full)
    with pytest.raises(RunError, match="No space left"):
        train_run(recipe("epochs=4"), few, tmp_path / "run")
    monkeypatch.undo()
    outcome = resume_run(tmp_path / "run", few)
    whole = train_run(recipe("epochs=4"), few, tmp_path / "whole").run
    assert measured(outcome.run) == measured(whole)


def test_unlabelled_digits_train_too(few, tmp_path):
    images = few.train.images
    plain = Splits("mine", Digits(images[:200], None), Digits(images[200:], None), None, "ab" * 32, ())
    assert train_run(recipe("epochs=1"), plain, tmp_path / "run").complete


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_first_signal_asks_to_stop_and_the_second_interrupts(before):
    """And what was there before comes back: a shell starts a process in the background with Ctrl-C ignored."""
    found = signal.signal(signal.SIGINT, before)
    try:
        _stop_twice()
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, found)


def _stop_twice():
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)  # at once: the same request, passed on by who started this process
        time.sleep(AT_ONCE + 0.1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_killed_at_random_moments_a_run_can_always_go_on(tmp_path):
    """SIGKILL gives no chance to save: at most the epoch under way may be lost."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "digitvae", "train", "map", "--data", "mnist-5k", "--epochs", "60"]
    command += ["--out", str(out), "--set", "encoder=[32]", "--set", "decoder=[32]", "--set", "augmentation=0"]
    resumed = [sys.executable, "-m", "digitvae", "train", "--out", str(out), "--resume"]
    moments = np.random.default_rng(0).uniform(0.0, 0.5, 6)
    run, done = RunDirectory(out), 0
    for moment in moments:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not (run.metrics_file.is_file() and run.metrics_file.read_text().count("\n") > done):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        process.communicate()
        lines = run.metrics_file.read_text().count("\n")
        done = load_state(run.state_file)[1]["epoch"]
        assert done >= lines - 1
        command = resumed
    finished = subprocess.run(resumed, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    assert [r["epoch"] for r in run.metrics()] == list(range(1, 61))
    assert json.loads(run.manifest_file.read_text())["sessions"][-1]["to_epoch"] == 60


def test_a_path_with_spaces_works(few, tmp_path):
    assert train_run(recipe("epochs=1"), few, Path(tmp_path / "my run")).complete
