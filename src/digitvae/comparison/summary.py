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
        spread (standard deviation over runs, None for one), runs, unit and definition, ``copy_audit`` (runs that
        passed, of how many, and why not) and ``seconds_to_quality`` (of each run that is trained; None where it was
        never reached, or the run failed).
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
                seconds_to(entry["curve"]) if entry["failed"] is None else None for entry in runs if _races(entry)
            ],
            "curve": _curve([entry["curve"] for entry in whole if entry["curve"]]),
        }
    return models


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
                row["values"].append(measure["value"])
    return {name: {**row, **_over(row["values"])} for name, row in found.items()}


def _over(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": statistics.fmean(values) if values else None,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "runs": len(values),
    }


def _curve(curves: Sequence[Sequence[dict[str, float]]]) -> list[dict[str, Any]]:
    """The looks of all runs together, of those that all have."""
    looks = []
    for place in range(len(LOOKS)):
        at = [curve[place] for curve in curves if place < len(curve)]
        if at:
            looks.append({name: _over([look[name] for look in at]) for name in at[0]})
    return looks
