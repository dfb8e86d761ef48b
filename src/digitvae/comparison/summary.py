"""The entries of a comparison put together, machine by machine: means and spreads over the seeds, failures counted,
never dropped."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from digitvae.comparison.contenders import BASELINE, TRAINED
from digitvae.comparison.contest import LOOKS
from digitvae.evaluation.suite import copy_verdict

QUALITY = 20.0
"""FID-digit, on the digits of the curve, that counts as good: the seconds to it are compared."""


def contests(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the entries of `digitvae.comparison.compare` together: a contest for each machine that made some.

    What a slower machine learns less is no difference between seeds, and who is ahead after so many seconds may be
    another there.

    Returns:
        What ``comparison.json`` holds under ``contests``, in the order of the entries: ``machine``, ``seeds``, and
        ``models``, by name. Of each model ``runs``, ``failed`` (why, for each run that diverged), ``collapsed`` (the
        missing classes of each run that has some), ``measures`` by name, with mean, spread (standard deviation over
        the seeds), runs, unit and definition, ``copy_audit`` (runs that passed, of how many, and why not), and
        ``seconds_to_quality`` (of each run that is trained; None where it was never reached, or the run failed).
    """
    # Of all machines: what the baseline of the copy audit draws does not depend on them.
    cannot_copy = _measures([entry for entry in entries if entry["model"] == BASELINE])
    baseline = [{"name": name, "value": row["mean"]} for name, row in cannot_copy.items()]
    found = []
    for machine in dict.fromkeys(map(ran_on, entries)):
        own = [entry for entry in entries if ran_on(entry) == machine]
        models = {
            name: _together([entry for entry in own if entry["model"] == name], baseline)
            for name in dict.fromkeys(entry["model"] for entry in own)
        }
        found.append({"machine": machine, "seeds": sorted({entry["seed"] for entry in own}), "models": models})
    return found


def _together(runs: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The runs of one model on one machine."""
    whole = [entry for entry in runs if entry["failed"] is None]
    verdicts = [copy_verdict(entry, {"measures": baseline}) for entry in whole if baseline]
    return {
        "title": runs[0]["title"],
        "kind": runs[0]["kind"],
        "parameters": runs[0]["parameters"],
        "runs": len(runs),
        "seconds": _over([entry["seconds"] for entry in runs]),
        "epochs": _over([entry["epochs"] for entry in runs]),
        "failed": [entry["failed"] for entry in runs if entry["failed"] is not None],
        "collapsed": [entry["missing"] for entry in whole if entry["missing"]],
        "measures": _measures(whole),
        "copy_audit": {
            "passed": sum(verdict["passed"] for verdict in verdicts),
            "of": len(verdicts),
            "why": [why for verdict in verdicts for why in verdict["why"]],
        },
        "seconds_to_quality": [
            seconds_to(entry["curve"]) if entry["failed"] is None else None
            for entry in runs
            if entry["kind"] in TRAINED
        ],
        "curve": _curve([entry for entry in whole if entry["curve"]]),
    }


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
                row["values"].append(measure["value"])
    return {name: {**row, **_over(row["values"])} for name, row in found.items()}


def _over(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds; None where there are too few for it."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "runs": len(values),
    }


def _curve(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The looks of all runs together, of those that all have."""
    looks = []
    for place in range(len(LOOKS)):
        at = [entry["curve"][place] for entry in entries if place < len(entry["curve"])]
        if at:
            looks.append({name: _over([look[name] for look in at]) for name in at[0]})
    return looks
