"""The tables of a comparison: a column or a row for each model, and a row for each machine where there are several."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from digitvae.comparison.contenders import TRAINED
from digitvae.report.parts import Table, duration, number, percent

OF_SAMPLES = (
    "FID-digit",
    "KID-digit",
    "precision",
    "recall",
    "density",
    "coverage",
    "classification accuracy score",
    "read as asked for",
    "rarest class",
    "nearest is trained on (pixels)",
    "nearest is trained on (reader features)",
    "near-duplicates (pixels)",
    "near-duplicates (reader features)",
    "log p(x)",
)
OF_EDITS = (
    "real digits drawn again: squared error",
    "seconds to find their codes",
    "drawn again, read as before",
    "on the way, read as both ends",
    "made thicker, read as before",
    "made thicker: gain in thickness",
)

OF_RUNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "copy audit: runs passed": lambda model: f"{model['copy_audit']['passed']} of {model['copy_audit']['of']}",
    "runs that diverged": lambda model: f"{len(model['failed'])} of {model['runs']}",
    "runs that lost a class": lambda model: f"{len(model['collapsed'])} of {model['runs']}",
}


def titles(contests: Sequence[dict[str, Any]], kinds: Collection[str] | None = None) -> dict[str, str]:
    """Everyone who takes part in some contest, or all of some kinds: title by name."""
    return {
        name: model["title"]
        for contest in contests
        for name, model in contest["models"].items()
        if kinds is None or model["kind"] in kinds
    }


def claims_table(contests: Sequence[dict[str, Any]]) -> Table:
    """The claims and their verdicts, on each machine."""
    rows = [
        [claim["claim"], *_machine(contests, contest), claim["measured"], claim["verdict"]]
        for same in zip(*(contest["claims"] for contest in contests), strict=True)
        for contest, claim in zip(contests, same, strict=True)
    ]
    caption = "What the original report says, held against what was measured."
    head = ["the report says", *_machine(contests), "measured", "verdict"]
    return Table("The report's claims", caption, head, rows, words=True)


def measures_table(
    contests: Sequence[dict[str, Any]],
    names: Sequence[str],
    title: str,
    caption: str,
    kinds: Collection[str] | None = None,
) -> Table:
    """A column for each model, or each of some kinds, and a row for each measure that anybody has, on each machine."""
    shown = titles(contests, kinds)
    models = [model for contest in contests for model in contest["models"].values()]
    rows = [
        [name, *_machine(contests, contest)]
        + [cell(contest["models"][model], name) if model in contest["models"] else "–" for model in shown]
        for name in names
        if name in OF_RUNS or any(name in model["measures"] for model in models)
        for contest in contests
    ]
    head = ["", *_machine(contests), *shown.values()]
    return Table(title, caption, head, rows, left=1 + len(_machine(contests)))


def _machine(contests: Sequence[dict[str, Any]], contest: dict[str, Any] | None = None) -> list[str]:
    """The cell that names a contest's machine, or the column's head; none where all ran on one."""
    if len(contests) == 1:
        return []
    return ["machine" if contest is None else str(contest["machine"])]


def cell(model: dict[str, Any], name: str) -> str:
    """A measure of a model as a table shows it: mean and spread over the seeds, or of how many runs it holds."""
    if name in OF_RUNS:
        return OF_RUNS[name](model)
    measure = model["measures"].get(name)
    if measure is None or measure["mean"] is None:
        return "undefined" if name == "log p(x)" and model["kind"] == "gan" else "–"
    share = measure["unit"] == "share"

    def written(value: float) -> str:
        return percent(value, 2) if share else number(value, 4 if name == "KID-digit" else 2)

    mean = written(measure["mean"])
    return mean if measure["spread"] is None else f"{mean.removesuffix(' %')} ± {written(measure['spread'])}"


def runs_table(contests: Sequence[dict[str, Any]], quality: float) -> Table:
    """What each model is and how its runs went, on each machine."""
    rows = [
        [title, *_machine(contests, contest), *_of_runs(contest["models"][name])]
        for name, title in titles(contests).items()
        for contest in contests
        if name in contest["models"]
    ]
    head = ["", *_machine(contests), "parameters that draw", "runs", "seconds of training", "epochs"]
    head += ["diverged", "lost a class", f"time to an FID-digit of {quality:g}"]
    caption = (
        "Parameters that draw: decoder and prior, or generator. A run has lost a class where fewer than one digit in a "
        "hundred is read as it."
    )
    return Table("The runs", caption, head, rows, left=1 + len(_machine(contests)))


def _of_runs(model: dict[str, Any]) -> list[str]:
    trained = model["kind"] in TRAINED
    times = [math.inf if time is None else time for time in model["seconds_to_quality"]]
    reached = [duration(time) if math.isfinite(time) else "never" for time in sorted(times)]
    return [
        f"{model['parameters']:,}" if model["parameters"] else "–",
        str(model["runs"]),
        f"{model['seconds']['mean']:.0f}" if trained else "–",
        f"{model['epochs']['mean']:.1f}" if trained else "–",
        str(len(model["failed"])),
        str(len(model["collapsed"])),
        ", ".join(reached) or "–",
    ]


def counts_table(models: dict[str, Any]) -> Table:
    """What the frozen reader reads of each class, first seed."""
    rows = []
    for model in models.values():
        counts = model["measures"].get("rarest class", {}).get("settings", {}).get("counts")
        if counts:
            rows.append([model["title"], *(f"{count:,}" for count in counts)])
    caption = "As the frozen reader reads the digits that were judged; first seed."
    return Table("Digits of each class", caption, ["", *map(str, range(10))], rows)


def definitions_table(contests: Sequence[dict[str, Any]]) -> Table:
    """What every measure of the page means."""
    models = [model for contest in contests for model in contest["models"].values()]
    found = {name: measure for model in models for name, measure in model["measures"].items()}
    rows = [[name, measure["definition"]] for name, measure in found.items()]
    return Table(
        "How each number is defined", "Of every measure on this page.", ["measure", "definition"], rows, words=True
    )
