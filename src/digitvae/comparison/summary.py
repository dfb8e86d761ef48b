"""The entries of a comparison put together: means and spreads over the seeds, failures counted, never dropped."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from digitvae.comparison.contenders import BASELINE
from digitvae.comparison.contest import LOOKS
from digitvae.evaluation.suite import copy_verdict

QUALITY = 20.0
"""FID-digit, on the digits of the curve, that counts as good: the seconds to it are compared."""


def summarize(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the entries of `digitvae.comparison.compare` together.

    Returns:
        What ``comparison.json`` holds under ``models``, by name. Of each model ``runs``, ``failed`` (why, for each run
        that diverged), ``collapsed`` (the missing classes of each run that has some), ``measures`` by name, with mean,
        spread (see `_spread`), runs, unit and definition, ``copy_audit`` (runs that passed, of how many, and why
        not), ``seconds_to_quality`` (of each run that is trained; None where it was never reached, or the run failed)
        and ``ran_on`` (the machine of each run).
    """
    models: dict[str, Any] = {}
    cannot_copy = [entry for entry in entries if entry["model"] == BASELINE]
    means = [{"name": name, "value": row["mean"]} for name, row in _measures(cannot_copy).items()]
    for name in dict.fromkeys(entry["model"] for entry in entries):
        runs = [entry for entry in entries if entry["model"] == name]
        whole = [entry for entry in runs if entry["failed"] is None]
        verdicts = [copy_verdict(entry, {"measures": means}) for entry in whole if cannot_copy]
        models[name] = {
            "title": runs[0]["title"],
            "kind": runs[0]["kind"],
            "parameters": runs[0]["parameters"],
            "runs": len(runs),
            "seconds": _over([(entry["seconds"], ran_on(entry)) for entry in runs]),
            "epochs": _over([(entry["epochs"], ran_on(entry)) for entry in runs]),
            "failed": [entry["failed"] for entry in runs if entry["failed"] is not None],
            "collapsed": [entry["missing"] for entry in whole if entry["missing"]],
            "measures": _measures(whole),
            "copy_audit": {
                "passed": sum(verdict["passed"] for verdict in verdicts),
                "of": len(verdicts),
                "why": [why for verdict in verdicts for why in verdict["why"]],
            },
            "seconds_to_quality": [
                seconds_to(entry["curve"]) if entry["failed"] is None else None for entry in runs if _races(entry)
            ],
            "ran_on": [ran_on(entry) for entry in runs],
            "curve": _curve([entry for entry in whole if entry["curve"]]),
        }
    return models


def ran_on(entry: dict[str, Any]) -> str:
    """The machine of an entry, as far as it decides how much is learned in a second."""
    facts = entry["machine"]
    return f"{facts['processor']} ({facts['instructions']}), {facts['threads']} threads"


def machines(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The machines, versions and sources of a comparison, each with the runs (model and seed) that it made."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        facts = {key: fact for key, fact in entry["machine"].items() if key != "command"}
        row = found.setdefault(str(sorted(facts.items())), {**facts, "name": ran_on(entry), "ran": []})
        row["ran"].append([entry["model"], entry["seed"]])
    return list(found.values())


def seconds_to(curve: Sequence[dict[str, float]], quality: float = QUALITY) -> float | None:
    """Seconds of training after which a curve's FID-digit is `quality` or better, between two looks in proportion.

    Before the first look nothing is known: it is then the time of that look.

    >>> seconds_to([{"seconds": 10, "FID-digit": 40}, {"seconds": 20, "FID-digit": 20}], 30)
    15.0
    """
    before: dict[str, float] | None = None
    for look in curve:
        if look["FID-digit"] <= quality:
            if before is None:
                return look["seconds"]
            share = (before["FID-digit"] - quality) / (before["FID-digit"] - look["FID-digit"])
            return before["seconds"] + share * (look["seconds"] - before["seconds"])
        before = look
    return None


def _races(entry: dict[str, Any]) -> bool:
    return entry["kind"] in ("vae", "gan")


def mean_of(model: dict[str, Any], name: str) -> float:
    """A model's mean of a measure; NaN where it is undefined."""
    found = model["measures"].get(name)
    return math.nan if found is None or found["mean"] is None else float(found["mean"])


def _measures(whole: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in whole:
        for measure in entry["measures"]:
            facts = {key: measure[key] for key in ("unit", "definition", "n", "settings")}  # those of the first run
            row = found.setdefault(measure["name"], {"values": [], **facts})
            if measure["value"] is not None:
                row["values"].append((measure["value"], ran_on(entry)))
    return {
        name: {**row, "values": [value for value, _ in row["values"]], **_over(row["values"])}
        for name, row in found.items()
    }


Run = tuple[float, str]
"""A number of one run, and the machine that it ran on."""


def _over(values: Sequence[Run]) -> dict[str, Any]:
    numbers = [value for value, _ in values]
    return {"mean": statistics.fmean(numbers) if numbers else None, "spread": spread(values), "runs": len(numbers)}


def spread(values: Sequence[Run]) -> float | None:
    """Standard deviation over the seeds: between runs of one machine, pooled over the machines.

    What a slower machine learns less is no difference between seeds. None where no machine has two runs.

    >>> spread([(1.0, "fast"), (3.0, "fast"), (9.0, "slow")]) == 2**0.5
    True
    """
    machines = dict.fromkeys(machine for _, machine in values)
    if len(values) == len(machines):
        return None
    groups = [[value for value, on in values if on == machine] for machine in machines]
    squares = sum((value - statistics.fmean(group)) ** 2 for group in groups for value in group)
    return math.sqrt(squares / (len(values) - len(groups)))


def _curve(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The looks of all runs together, of those that all have."""
    looks = []
    for place in range(len(LOOKS)):
        at = [(entry["curve"][place], ran_on(entry)) for entry in entries if place < len(entry["curve"])]
        if at:
            looks.append({name: _over([(look[name], on) for look, on in at]) for name in at[0][0]})
    return looks
