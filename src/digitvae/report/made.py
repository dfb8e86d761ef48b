"""The last section: data, seed, versions, hardware, time and the command, so that the run can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from digitvae.config import Config
from digitvae.report.learning import Curves
from digitvae.report.parts import Table, duration
from digitvae.rundir import RunDirectory


@dataclass(frozen=True)
class MadeSection:
    """Words, command, tables and recipe of the last section."""

    text: str
    command: str
    tables: Sequence[Table]
    recipe: str


def how_made(run: RunDirectory, config: Config, manifest: dict[str, Any]) -> MadeSection:
    """What somebody else needs to make the run again, from its manifest."""
    data, sessions = manifest["data"], manifest["sessions"]
    facts = [
        ["recipe", config.recipe],
        ["data", data["caption"]],
        ["data SHA-256", data["sha256"]],
        ["training and validation digits", f"{data['training']:,} and {data['validation']:,}"],
        ["notes on the data", " ".join(data["notes"]) or "none"],
        ["binarization", config.data.binarization],
        ["seed", str(manifest["seed"])],
        ["epochs planned", str(config.training.epochs)],
    ]
    head = ["", *(f"session {i + 1}" for i in range(len(sessions)))]
    keys = [
        ("started", "started (UTC)"),
        ("from_epoch", "after epoch"),
        ("to_epoch", "until epoch"),
        ("seconds", "time"),
        ("device", "device"),
        ("processor", "processor"),
        ("instructions", "instructions"),
        ("threads", "threads"),
        ("precision", "precision"),
        ("platform", "system"),
        ("python", "Python"),
        ("torch", "torch"),
        ("numpy", "numpy"),
        ("digitvae", "digitvae"),
        ("git_commit", "git commit"),
        ("command", "command"),
    ]
    rows = [[title, *(_cell(session, key) for session in sessions)] for key, title in keys]
    tables = [
        Table("Data and settings", "What went in.", ["", "value"], facts, words=True),
        Table("Sessions", "Each time that training ran, and on what.", head, rows, words=True),
    ]
    text = (
        "On the CPU, the same command with the same versions and the same number of threads gives the same weights. "
        "This page was made from the run directory and the digits."
    )
    command = sessions[0]["command"] if sessions else "not recorded"
    return MadeSection(text, command, tables, config.to_toml())


def stopped_words(run: RunDirectory, config: Config, curves: Curves) -> str | None:
    """A sentence where training ended before all planned epochs."""
    last, planned = int(curves.epochs[-1]), config.training.epochs
    if last >= planned:
        return None
    patience, best = config.training.patience, int(curves.epochs[curves.best])
    if patience and last - best >= patience:
        return (
            f"Training ended by itself after epoch {last} of {planned}: for {patience} epochs the validation loss had "
            "not been lower."
        )
    return (
        f"The run was stopped after epoch {last} of {planned} planned, and this is how it stands. Go on with: "
        f"digitvae train --out {run.path} --resume"
    )


def _cell(session: dict[str, Any], key: str) -> str:
    value = session.get(key)
    if value is None:
        return "–"
    return (
        duration(value)
        if key == "seconds"
        else str(value).replace("T", " ").replace("+00:00", "")
        if key == "started"
        else str(value)
    )
