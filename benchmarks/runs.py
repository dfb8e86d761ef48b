"""Trainings that take long: kept in `.cache/runs/NAME`, so that a stop costs nothing; remove one to train it anew."""

from __future__ import annotations

import sys
from pathlib import Path

from digitvae.config import Config
from digitvae.data import Splits
from digitvae.rundir import RunDirectory
from digitvae.running import Watcher, resume_run, train_run

RUNS = Path(__file__).parent.parent / ".cache" / "runs"


class Lines(Watcher):
    """A line for each epoch."""

    def measured(self, record: dict) -> None:
        print(record["epoch"], record["train"]["loss"], record["validation"]["loss"], flush=True)


def trained(name: str, config: Config, splits: Splits) -> RunDirectory:
    """Train a run, go on with it where it was stopped, or take it as it is where it is finished."""
    out = RUNS / name
    if RunDirectory(out).state_file.is_file():
        if RunDirectory(out).config() != config:
            sys.exit(f"{out} was trained with other settings: remove it.")
        return resume_run(out, splits, watcher=Lines()).run
    return train_run(config, splits, out, watcher=Lines()).run


def minutes_of(run: RunDirectory) -> float:
    """Minutes that a run has trained, validated and saved for, in all its sessions."""
    return sum(session["seconds"] for session in run.manifest()["sessions"]) / 60
