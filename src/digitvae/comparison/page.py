"""The comparison as one self-contained page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from digitvae.comparison.contenders import FLOOR
from digitvae.comparison.contest import LOOKS, entry_file
from digitvae.comparison.editing import STEPS
from digitvae.data.files import write_aside
from digitvae.figures import draw_race, draw_rows, draw_samples
from digitvae.report.parts import Picture, Table, duration, number, percent, picture

CURVES = {
    "FID-digit": ("FID-digit: lower is better", True),
    "coverage": ("coverage: higher is better", False),
    "recall": ("recall: higher is better", False),
}

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


def write_page(folder: Path, content: dict[str, Any]) -> Path:
    """Write ``comparison.html`` of a comparison into its folder; the same content gives the same bytes.

    Args:
        folder: Where the entries lie.
        content: What ``comparison.json`` holds.

    Returns:
        The path of the page.

    Raises:
        RunError: If it cannot be written.
    """
    loaders = [PackageLoader("digitvae.comparison", ""), PackageLoader("digitvae.report", "")]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    style = Markup((resources.files("digitvae.report") / "style.css").read_text(encoding="utf-8").strip())
    text = environment.get_template("comparison.html").render(page=_page(folder, content), style=style)
    path = folder / "comparison.html"
    write_aside(path, lambda file: file.write(text.encode()), overwrite=True)
    return path


def _page(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    models, settings = content["models"], content["settings"]
    seeds = max(model["runs"] for model in models.values())
    once = "one seed" if seeds == 1 else f"{seeds} seeds; ± is their standard deviation"
    return {
        "title": "VAE against GAN, on equal terms",
        "run": f"{content['data']['caption']} · {settings['budget']:g} s of training each · {once}",
        "lede": "The VAEs and GANs here learned from the same digits, for the same seconds, with as many numbers to "
        "draw with; the trivial rivals have fewer. What follows was measured, on digits that none of them has seen.",
        "notices": _notices(content),
        "claims": claims_table(content),
        "samples": measures_table(models, OF_SAMPLES, "Drawn digits", f"{content['data']['judged']}; {once}."),
        "notes": NOTES,
        "counts": _counts(models),
        "runs": runs_table(content),
        "curves": _curves(models),
        "sheets": _sheets(folder, models),
        "edits": measures_table(
            {name: model for name, model in models.items() if model["kind"] in ("vae", "gan")},
            OF_EDITS,
            "Real digits, edited",
            f"Digits that nobody has trained on; {once}.",
        ),
        "edited": _edited(folder, models),
        "definitions": _definitions(models),
        "machines": [{**machine, "seeds": _seeds(machine)} for machine in content["machines"]],
        "command": content["command"],
    }


NOTES = (
    "Real digits are about the floor of FID-digit and KID-digit and the ceiling of recall and coverage. They are "
    "one sample, by fewer writers than all training digits, so that a model of those may come a little nearer. They "
    "are no limit of precision, density and of how many digits a reader reads: a model that draws only plain digits, "
    "never the odd ones that people do write, gets more of those right than real digits do. So these are never read "
    "without recall and coverage beside them."
)


def _notices(content: dict[str, Any]) -> list[str]:
    notices = list(content["data"]["notes"])
    ran: dict[int, set[str]] = {}
    for machine in content["machines"]:
        for _, seed in machine["ran"]:
            ran.setdefault(seed, set()).add(machine["name"])
    if len(set.union(*ran.values())) > 1:
        notices.append("The seeds ran on different machines, listed at the end; ± is between seeds of one machine.")
    for seed, names in sorted(ran.items()):
        if len(names) > 1:
            notices.append(
                f"Seed {seed} ran on more than one machine, so its models had not the same: {'; '.join(names)}."
            )
    for model in content["models"].values():
        for why in model["failed"]:
            notices.append(f"{model['title']}: a run failed. {why}")
        for missing in model["collapsed"]:
            notices.append(f"{model['title']}: a run hardly ever draws {', '.join(map(str, missing))}.")
    return notices


def _seeds(machine: dict[str, Any]) -> str:
    seeds = sorted({seed for _, seed in machine["ran"]})
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def claims_table(content: dict[str, Any]) -> Table:
    """The claims and their verdicts."""
    rows = [[claim["claim"], claim["measured"], claim["verdict"]] for claim in content["claims"]]
    return Table(
        "The report's claims",
        "What the original report says, held against what was measured.",
        ["the report says", "measured", "verdict"],
        rows,
        words=True,
    )


def measures_table(models: dict[str, Any], names: Sequence[str], title: str, caption: str) -> Table:
    """A column for each model, a row for each measure that anybody has."""
    shown = [name for name in names if any(name in model["measures"] for model in models.values())]
    rows = [[name, *(cell(model, name) for model in models.values())] for name in shown]
    if "FID-digit" in shown:
        audits = [model["copy_audit"] for model in models.values()]
        rows.append(["copy audit: runs passed", *(f"{each['passed']} of {each['of']}" for each in audits)])
    return Table(title, caption, ["", *(model["title"] for model in models.values())], rows)


def cell(model: dict[str, Any], name: str) -> str:
    """A measure of a model as a table shows it: mean and spread over the seeds."""
    measure = model["measures"].get(name)
    if measure is None or measure["mean"] is None:
        return "undefined" if name == "log p(x)" and model["kind"] == "gan" else "–"
    share = measure["unit"] == "share"

    def written(value: float) -> str:
        return percent(value, 2) if share else number(value, 4 if name == "KID-digit" else 2)

    mean = written(measure["mean"])
    return mean if measure["spread"] is None else f"{mean.removesuffix(' %')} ± {written(measure['spread'])}"


def runs_table(content: dict[str, Any]) -> Table:
    """What each model is and how its runs went."""
    rows = []
    for model in content["models"].values():
        times = [math.inf if time is None else time for time in model["seconds_to_quality"]]
        reached = [duration(time) if math.isfinite(time) else "never" for time in sorted(times)]
        rows.append(
            [
                model["title"],
                f"{model['parameters']:,}" if model["parameters"] else "–",
                str(model["runs"]),
                f"{model['seconds']['mean']:.0f}" if model["kind"] in ("vae", "gan") else "–",
                f"{model['epochs']['mean']:.1f}" if model["kind"] in ("vae", "gan") else "–",
                str(len(model["failed"])),
                str(len(model["collapsed"])),
                ", ".join(reached) or "–",
            ]
        )
    head = [
        "",
        "parameters that draw",
        "runs",
        "seconds of training",
        "epochs",
        "diverged",
        "lost a class",
        f"time to an FID-digit of {content['quality']:g}",
    ]
    caption = (
        "Parameters that draw: decoder and prior, or generator. A run has lost a class where fewer than one digit in a "
        "hundred is read as it."
    )
    return Table("The runs", caption, head, rows)


def _curves(models: dict[str, Any]) -> list[Picture]:
    pictures = []
    for name, (label, logarithmic) in CURVES.items():
        curves = curves_of(models, name)
        if not curves:
            continue
        floor = next((look[name]["mean"] for look in models.get(FLOOR, {"curve": []})["curve"]), None)
        rows = [[title, *(number(mean, 3) for mean in curve[2])] for title, curve in curves.items()]
        head = ["", *(f"look {place + 1}" for place in range(len(LOOKS)))]
        pictures.append(
            picture(
                draw_race(curves, label, logarithmic, floor),
                f"{name} over the seconds of training",
                f"Curves of {name} for {', '.join(curves)}.",
                "Means over the seeds; bars are standard deviations.",
                [Table(f"{name}, look by look", "Means over the seeds.", head, rows)],
            )
        )
    return pictures


def curves_of(models: dict[str, Any], name: str) -> dict[str, tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """The curves of a measure as `digitvae.figures.draw_race` takes them."""
    racing = [model for model in models.values() if model["curve"] and model["kind"] != "floor"]
    return {model["title"]: (model["kind"], *_points(model, name)) for model in racing}


def _points(model: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds, means and spreads of a model's looks."""
    seconds, looks = ([look[key] for look in model["curve"]] for key in ("seconds", name))
    return (
        np.array([each["mean"] for each in seconds], float),
        np.array([each["mean"] for each in looks], float),
        np.array([each["spread"] for each in looks], float),  # None becomes NaN
    )


def _sheets(folder: Path, models: dict[str, Any]) -> list[Picture]:
    pictures = []
    for name, model in models.items():
        arrays = _pictures_of(folder, name)
        if "sheet" in arrays:
            pictures.append(
                picture(
                    draw_samples(arrays["sheet"] / 255, 10),
                    model["title"],
                    f"{len(arrays['sheet'])} digits drawn by {model['title']}.",
                    "The first that were drawn, none chosen.",
                )
            )
    return pictures


def _counts(models: dict[str, Any]) -> Table:
    """What the frozen reader reads of each class, first seed."""
    rows = []
    for model in models.values():
        counts = model["measures"].get("rarest class", {}).get("settings", {}).get("counts")
        if counts:
            rows.append([model["title"], *(f"{count:,}" for count in counts)])
    caption = "As the frozen reader reads the digits that were judged; first seed."
    return Table("Digits of each class", caption, ["", *map(str, range(10))], rows)


def _edited(folder: Path, models: dict[str, Any]) -> list[Picture]:
    pictures = []
    for name, model in models.items():
        arrays = {key: values / 255 for key, values in _pictures_of(folder, name).items()}
        if "again" not in arrays:
            continue
        # As many real digits as a way has steps, spread over the classes; the ways go between two of them.
        places = np.linspace(0, len(arrays["originals"]), STEPS, endpoint=False).astype(int) // 2 * 2
        rows = [arrays[key][places] for key in ("originals", "again", "thicker")]
        rows += [arrays["paths"][place // 2] for place in places[[2, 5]]]
        pictures.append(
            picture(
                draw_rows(np.stack(rows), ["real", "again", "thicker", "a way", "a way"]),
                model["title"],
                f"Real digits, the same drawn again and made thicker by {model['title']}, and two ways between digits.",
                f"Real digits, drawn again from their codes, made thicker; below, {STEPS} steps from one real digit to "
                "another of its class, twice.",
            )
        )
    return pictures


def _pictures_of(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The pictures of a model's first seed that has some."""
    for path in sorted(folder.glob(f"entries/{name}-*.npz")):
        if path != entry_file(folder, name, int(path.stem.rpartition("-")[2])).with_suffix(".npz"):
            continue
        with np.load(path, allow_pickle=False) as file:
            if file.files:
                return {key: file[key] for key in file.files}
    return {}


def _definitions(models: dict[str, Any]) -> Table:
    found = {name: measure for model in models.values() for name, measure in model["measures"].items()}
    rows = [[name, measure["definition"]] for name, measure in found.items()]
    return Table(
        "How each number is defined", "Of every measure on this page.", ["measure", "definition"], rows, words=True
    )
