"""The comparison as one self-contained page."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from digitvae.comparison.contenders import FLOOR, TRAINED
from digitvae.comparison.contest import LOOKS, entry_file
from digitvae.comparison.editing import STEPS
from digitvae.comparison.tables import (
    OF_EDITS,
    OF_RUNS,
    OF_SAMPLES,
    claims_table,
    counts_table,
    definitions_table,
    measures_table,
    runs_table,
    titles,
)
from digitvae.data.files import write_aside
from digitvae.figures import draw_race, draw_rows, draw_samples
from digitvae.report.parts import Picture, Table, number, picture

CURVES = {
    "FID-digit": ("FID-digit: lower is better", True),
    "coverage": ("coverage: higher is better", False),
    "recall": ("recall: higher is better", False),
}


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
    contests, settings = content["contests"], content["settings"]
    everyone = titles(contests)
    seeds = len({seed for contest in contests for seed in contest["seeds"]})
    once = "one seed" if seeds == 1 else f"{seeds} seeds; ± is their standard deviation"
    once += " on each machine" if len(contests) > 1 and seeds > 1 else ""
    judged = f"{content['data']['judged']}; {once}."
    return {
        "title": "VAE against GAN, on equal terms",
        "run": f"{content['data']['caption']} · {settings['budget']:g} s of training each · {once}",
        "lede": "The VAEs and GANs here learned from the same digits, for the same seconds, with as many numbers to "
        "draw with; the trivial rivals have fewer. What follows was measured, on digits that none of them has seen.",
        "notices": _notices(content),
        "claims": claims_table(contests),
        "samples": measures_table(contests, (*OF_SAMPLES, *OF_RUNS), "Drawn digits", judged),
        "notes": NOTES,
        "counts": counts_table(contests[0]["models"]),
        "runs": runs_table(contests, content["quality"]),
        "curves": [curve for contest in contests for curve in _curves(contest, len(contests) > 1)],
        "sheets": _sheets(folder, everyone),
        "edits": measures_table(
            contests, OF_EDITS, "Real digits, edited", f"Digits that nobody has trained on; {once}.", TRAINED
        ),
        "edited": _edited(folder, everyone),
        "definitions": definitions_table(contests),
        "machines": [
            {**machine, "seeds": _seeds({seed for _, seed in machine["ran"]})} for machine in content["machines"]
        ],
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
    if len(content["contests"]) > 1:
        ran = "; ".join(f"{contest['machine']}: {_seeds(contest['seeds'])}" for contest in content["contests"])
        notices.append(f"The seeds ran on different machines, and each machine is a contest of its own. {ran}.")
    for contest in content["contests"]:
        for model in contest["models"].values():
            for why in model["failed"]:
                notices.append(f"{model['title']}: a run failed. {why}")
            for missing in model["collapsed"]:
                notices.append(f"{model['title']}: a run hardly ever draws {', '.join(map(str, missing))}.")
    return notices


def _seeds(seeds: Collection[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"


def _curves(contest: dict[str, Any], several: bool) -> list[Picture]:
    models, pictures = contest["models"], []
    where = f" on {contest['machine']}" if several else ""
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
                f"{name} over the seconds of training{where}",
                f"Curves of {name} for {', '.join(curves)}{where}.",
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


def _sheets(folder: Path, everyone: dict[str, str]) -> list[Picture]:
    pictures = []
    for name, title in everyone.items():
        arrays = _pictures_of(folder, name)
        if "sheet" in arrays:
            pictures.append(
                picture(
                    draw_samples(arrays["sheet"] / 255, 10),
                    title,
                    f"{len(arrays['sheet'])} digits drawn by {title}.",
                    "The first that were drawn, none chosen.",
                )
            )
    return pictures


def _edited(folder: Path, everyone: dict[str, str]) -> list[Picture]:
    pictures = []
    for name, title in everyone.items():
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
                title,
                f"Real digits, the same drawn again and made thicker by {title}, and two ways between digits.",
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
