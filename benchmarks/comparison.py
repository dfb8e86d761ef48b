"""VAE against GAN on equal terms, on all of MNIST: `digitvae compare` with five seeds of 300 seconds.

It takes hours, so what is measured is kept in ``benchmarks/results/comparison`` and a stopped benchmark goes on. Writes
the tables and figures of ``docs/vae-and-gan.md``.

Usage: python -m benchmarks.comparison [SEEDS]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, finish, full_mnist
from digitvae.comparison import Settings, compare, comparison_content, write_page
from digitvae.comparison.page import CURVES, curves_of
from digitvae.comparison.summary import ran_on
from digitvae.comparison.tables import OF_EDITS, OF_RUNS, OF_SAMPLES, claims_table, measures_table
from digitvae.figures import draw_race, to_png

FOLDER = RESULTS / "comparison"
FIGURES = Path(__file__).parent.parent / "docs" / "images"

GOALS = {"coverage": "ahead", "recall": "ahead", "classification accuracy score": "ahead", "FID-digit": "level"}
"""What `studio` should reach against the good GAN."""


def main(seeds: int) -> None:
    splits, settings = full_mnist(), Settings(seeds=seeds)
    entries = compare(FOLDER, splits, settings, told)
    content = comparison_content(entries, settings, splits)
    print(write_page(FOLDER, content))
    contests = content["contests"]
    command, measured_on = f"python -m benchmarks.comparison {seeds}", {"hardware": of_runs(entries)}
    measured = measures_table(contests, (*OF_SAMPLES, *OF_EDITS, *OF_RUNS), "", "")
    kept = {"settings": content["settings"], **measured_on}
    finish("comparison", command, kept, list(measured.head), list(map(list, measured.rows)))
    claims = claims_table(contests)
    finish("claims", command, measured_on, list(claims.head), list(map(list, claims.rows)))
    columns = ["", "machine", "studio", "good GAN", "studio ahead", "goal", "reached"]
    finish("comparison_goals", command, measured_on, columns, goals(entries))
    label, logarithmic = CURVES["FID-digit"]
    for place, contest in enumerate(contests, 1):
        figure = draw_race(curves_of(contest["models"], "FID-digit"), label, logarithmic)
        (FIGURES / f"vae_and_gan_{place}.png").write_bytes(to_png(figure))


def of_runs(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The hardware that runs were measured with, which may be long ago and several machines."""
    facts = [entry["machine"] for entry in entries]
    several = {
        key: "; ".join(dict.fromkeys(fact[key] for fact in facts)) for key in ("processor", "instructions", "torch")
    }
    return {"date": max(entry["date"] for entry in entries), "cores": facts[0]["threads"], **several}


def goals(entries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """`studio` against the good GAN on each machine: means, seeds that it is ahead with, and whether that is enough.

    Ahead is ahead with every seed. Level is a mean that is behind by no more than the seeds of either differ
    (standard deviation).
    """
    found: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    for entry in entries:
        if entry["failed"] is None:
            runs = found.setdefault((entry["model"], ran_on(entry)), {})
            runs[entry["seed"]] = {measure["name"]: measure["value"] for measure in entry["measures"]}
    machines = [machine for model, machine in found if model == "studio" and ("gan", machine) in found]
    rows = []
    for name, goal in GOALS.items():
        lowest = name == "FID-digit"
        for machine in machines:
            studio, gan = found["studio", machine], found["gan", machine]
            seeds = sorted(studio.keys() & gan.keys())
            own, other = ([runs[seed][name] for seed in seeds] for runs in (studio, gan))
            better = [(one < two) if lowest else (one > two) for one, two in zip(own, other, strict=True)]
            means = [statistics.fmean(values) for values in (own, other)]
            reached = all(better)
            if goal == "level":
                apart = max(statistics.stdev(values) if len(values) > 1 else 0.0 for values in (own, other))
                reached = (means[0] - means[1] if lowest else means[1] - means[0]) <= apart
            shown = [f"{mean:.2f}" if lowest else f"{mean:.2%}" for mean in means]
            ahead = f"{sum(better)} of {len(seeds)} seeds"
            rows.append([name, machine, *shown, ahead, goal, "yes" if reached else "no"])
    return rows


def told(done: int, of: int, text: str) -> None:
    print(f"{done} of {of}: {text}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
