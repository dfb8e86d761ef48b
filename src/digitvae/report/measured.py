"""The section on what `digitvae evaluate` measured, where it has: the numbers of evaluation.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digitvae.checkpoint import load_model
from digitvae.data import Splits
from digitvae.evaluation.suite import FORMAT, sampled
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
        samples = {name: section for name, section in sections.items() if name.startswith("samples")}
        rest = {name: section for name, section in sections.items() if name not in samples}
        tables = [_table(name, section) for name, section in rest.items()]
        if samples:
            tables.append(_side_by_side(samples))
        copies = None
        if "drawn" in samples.get("samples", {}) and content["data"]["sha256"] == splits.sha256:
            copies = _copies(run, splits, samples["samples"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    texts = [
        f"By digitvae evaluate, of the weights in checkpoints/best, on {content['data']['caption']}: digits that "
        "training has not seen, where nothing else is said. Each number is given with its spread where something was "
        "repeated; definitions, seeds and settings are in evaluation.json.",
    ]
    return MeasuredSection(texts, tables, copies)


def _copies(run: RunDirectory, splits: Splits, section: Mapping[str, Any]) -> Picture:
    """The generated digits that are nearest to a training digit, each above it."""
    (settings,) = (m["settings"] for m in section["measures"] if m["name"] == "nearest is trained on (pixels)")
    model, _ = load_model(run.best)
    judged = section["measures"][0]["n"]  # the last of those drawn
    generated = unit(sampled(model, section["drawn"]).images[-judged:][settings["worst"]])
    verdict = section.get("copy_audit", {"passed": True, "why": []})
    words = "passed" if verdict["passed"] else f"failed: {'; '.join(verdict['why'])}"
    return picture(
        draw_pairs(generated, unit(splits.train.images[settings["worst_matches"]]), ("generated", "trained on")),
        "Nearest to a copy",
        f"The {len(generated)} generated digits that are nearest to a training digit, each above that digit.",
        f"Of {section['measures'][0]['n']:,} generated digits those nearest to a training digit in pixels, each above "
        f"it. Copy audit {words}.",
    )


def _table(name: str, section: Mapping[str, Any]) -> Table:
    rows = [
        [measure["name"], _written(measure["value"], measure["unit"]), _spread(measure), f"{measure['n']:,}"]
        for measure in section["measures"]
    ]
    about = f", binarization “{section['binarization']}”" if "binarization" in section else ""
    about += ", seen in training" if section.get("seen_in_training") else ""
    caption = f"{name[0].upper()}{name[1:]}: {section['digits']} digits{about}; {duration(section['seconds'])}."
    return Table(f"Measured: {name}", caption, ["measure", "value", "spread", "images"], rows)


def _side_by_side(samples: Mapping[str, Mapping[str, Any]]) -> Table:
    """The model's samples beside the floor and the rivals: a column each."""
    columns = {name: {m["name"]: m for m in section["measures"]} for name, section in samples.items()}
    names = list(dict.fromkeys(name for measures in columns.values() for name in measures))
    rows = [[name, *(_with_spread(m[name]) if name in m else "–" for m in columns.values())] for name in names]
    if all("copy_audit" in section for section in samples.values()):
        rows.append(["copy audit", *("passed" if s["copy_audit"]["passed"] else "failed" for s in samples.values())])
    head = ["measure", *("this model" if name == "samples" else name.removeprefix("samples, ") for name in columns)]
    first = next(iter(samples.values()))
    caption = (
        f"{first['measures'][0]['n']:,} images each, held against as many {first['digits']} digits. Real training "
        "digits are the floor: no better can be expected. FID-digit and KID-digit are on features of our own digit "
        "network and do not compare with those on Inception features. Without copying about half of the nearest "
        "digits are trained on."
    )
    return Table("Measured: samples", caption, head, rows)


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
