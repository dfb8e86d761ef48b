"""The section on what `digitvae evaluate` measured, where it has: the numbers of evaluation.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digitvae.checkpoint import load_model
from digitvae.data import Splits
from digitvae.evaluation.suite import FORMAT, how, known_digits, sampled
from digitvae.figures import draw_pairs
from digitvae.report.coded import unit
from digitvae.report.parts import Picture, Table, duration, number, percent, picture
from digitvae.rundir import RunDirectory


@dataclass(frozen=True)
class MeasuredSection:
    """The section's words and tables."""

    texts: Sequence[str]
    tables: Sequence[Table]
    copies: Picture | None = None


def measured_section(run: RunDirectory, splits: Splits) -> MeasuredSection | None:
    """What was measured of the run's best weights; None where nothing was, or the file is damaged."""
    try:
        content = json.loads(run.evaluation_file.read_text(encoding="utf-8"))
        weights = json.loads((run.best / "config.json").read_text(encoding="utf-8"))["sha256"]
        if content["format"] != FORMAT:
            return None
        if content["weights"] != weights:
            old = "evaluation.json is of other weights than checkpoints/best holds now; run digitvae evaluate again."
            return MeasuredSection([old], [])
        sections: dict[str, Any] = content["sections"]
        notes = [f"{_title(name)}: not measured. {s['note']}" for name, s in sections.items() if "note" in s]
        measured = {name: section for name, section in sections.items() if section["measures"]}
        samples = {name: section for name, section in measured.items() if name.startswith("samples")}
        rest = {name: section for name, section in measured.items() if name not in samples}
        tables = [_table(name, section) for name, section in rest.items()]
        if samples:
            tables.append(_side_by_side(samples))
        copies = None
        if "drawn" in samples.get("samples", {}) and content["data"]["sha256"] == splits.sha256:
            copies = _copies(run, splits, samples["samples"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    texts = [
        f"By digitvae evaluate, of the weights in checkpoints/best, on {content['data']['caption']}: digits that "
        "training has not seen, where nothing else is said. Each number is given with its spread where something was "
        "repeated; definitions, seeds and settings are in evaluation.json.",
    ]
    return MeasuredSection([*texts, *notes], tables, copies)


def _title(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


def _copies(run: RunDirectory, splits: Splits, section: Mapping[str, Any]) -> Picture:
    """The generated digits that are nearest to one that may have been copied, each above it."""
    (settings,) = (m["settings"] for m in section["measures"] if m["name"] == "nearest is trained on (pixels)")
    model, _ = load_model(run.best)
    judged = section["measures"][0]["n"]  # the last of those drawn
    generated = unit(sampled(model, section["drawn"]).images[-judged:][settings["worst"]])
    nearest = unit(known_digits(splits).images[settings["worst_matches"]])
    known = "training" if splits.test is None else "training or validation"
    return picture(
        draw_pairs(generated, nearest, ("generated", "nearest")),
        "Nearest to a copy",
        f"The {len(generated)} generated digits that are nearest to a {known} digit, each above that digit.",
        f"Of {judged:,} generated digits those nearest to a {known} digit in pixels, each above it. "
        f"{_verdict_words(section)}",
    )


def _verdict_words(section: Mapping[str, Any]) -> str:
    verdict = section.get("copy_audit")
    if verdict is not None:
        return "Copy audit passed." if verdict["passed"] else f"Copy audit failed: {'; '.join(verdict['why'])}."
    why = "the samples of the PCA Gaussian, which it holds these against, were not measured"
    if section.get("seen_in_training"):
        why = "the digits that judge were seen in training"
    return f"The copy audit was not made: {why}."


def _table(name: str, section: Mapping[str, Any]) -> Table:
    rows = [
        [m["name"], _written(m["value"], m["unit"]), _spread(m), f"{m['n']:,}", how(m) or "–"]
        for m in section["measures"]
    ]
    about = f", binarization “{section['binarization']}”" if "binarization" in section else ""
    about += ", seen in training" if section.get("seen_in_training") else ""
    caption = f"{_title(name)}: {section['digits']} digits{about}; {duration(section['seconds'])}."
    return Table(f"Measured: {name}", caption, ["measure", "value", "spread", "images", "how"], rows)


def _side_by_side(samples: Mapping[str, Mapping[str, Any]]) -> Table:
    """The model's samples beside the floor and the rivals: a column each; how is said of the first."""
    columns = {name: {m["name"]: m for m in section["measures"]} for name, section in samples.items()}
    names = list(dict.fromkeys(name for measures in columns.values() for name in measures))
    (title, first), *_ = columns.items()
    rows = [
        [
            name,
            *(_with_spread(m[name]) if name in m else "–" for m in columns.values()),
            (how(first[name]) or "–") if name in first else "–",
        ]
        for name in names
    ]
    if all("copy_audit" in section for section in samples.values()):
        verdicts = ("passed" if s["copy_audit"]["passed"] else "failed" for s in samples.values())
        rows.append(["copy audit", *verdicts, "–"])
    titles = ["this model" if name == "samples" else name.removeprefix("samples, ") for name in columns]
    caption = (
        f"{samples[title]['measures'][0]['n']:,} images each, held against as many {samples[title]['digits']} digits. "
        "Real training digits are the floor: no better can be expected. FID-digit and KID-digit are on features of our "
        "own digit network and do not compare with those on Inception features. Without copying about half of the "
        "nearest digits are trained on."
    )
    return Table("Measured: samples", caption, ["measure", *titles, f"how, {titles[0]}"], rows)


def _with_spread(measure: Mapping[str, Any]) -> str:
    value = _written(measure["value"], measure["unit"])
    return value if measure["spread"] is None else f"{value} ± {_written(measure['spread'], measure['unit'])}"


def _written(value: float | int | None, unit: str) -> str:
    if unit == "share":
        return percent(value, 2)
    if isinstance(value, int):
        return str(value)
    return number(value, 2 if unit == "nats" else 3)


def _spread(measure: Mapping[str, Any]) -> str:
    if measure["spread"] is None:
        return "–"
    return f"{_written(measure['spread'], measure['unit'])} over {measure['over']}"
