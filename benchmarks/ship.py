"""Put a model into the package: train it on all 60,000 training digits, measure it, write its folder and card.

The settings were chosen on the 12,000 validation digits with models trained on the other 48,000 (`LOG.md`); nothing is
changed for the 60,000. The run is kept in `.cache/ship/NAME`: stopped, it goes on from there; finished, it is only
measured and written again. Remove it to train anew.

Usage: python -m benchmarks.ship NAME
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import full_mnist, hardware
from digitvae.checkpoint import load_model, save_model
from digitvae.config import Config, load_recipe
from digitvae.data import Splits
from digitvae.evaluation.files import reference_scores
from digitvae.evaluation.suite import evaluate_model
from digitvae.models.vae import VAE
from digitvae.rundir import PRETRAINED, RunDirectory
from digitvae.running import Outcome, Watcher, model_card, resume_run, train_run

RUNS = Path(__file__).parent.parent / ".cache" / "ship"
ON_CARD = ("elbo", "iw_bound", "log_prob_quadrature", "AUROC", "10-neighbour")


class Lines(Watcher):
    """A line for each epoch."""

    def measured(self, record: dict) -> None:
        print(record["epoch"], record["train"]["loss"], record["validation"]["loss"], flush=True)


def trained(config: Config, splits: Splits, out: Path) -> Outcome:
    """Start the run, or go on with it."""
    if RunDirectory(out).state_file.is_file():
        return resume_run(out, splits, watcher=Lines())
    return train_run(config, splits, out, watcher=Lines())


def seconds_of(run: RunDirectory) -> float:
    """Seconds that a run has trained, validated and saved for."""
    return sum(session["seconds"] for session in run.manifest()["sessions"])


def main(name: str) -> None:
    splits = full_mnist()
    run = trained(load_recipe(name).with_settings(["train_on=all"]), splits, RUNS / name).run
    model, config = load_model(run.best)
    model = halved(model)
    sections = evaluate_model(model, splits, "dynamic", ["density", "clusters"], notify=print)
    scores = {kind: reference_scores(model, config, splits, kind).to_dict() for kind in ("dynamic", "none")}
    record = run.metrics()[-1]
    card = model_card(config, run.manifest(), record) + "\n" + measured(run, sections, len(splits.test))
    facts = {"data": run.manifest()["data"], "scores": scores}
    save_model(PRETRAINED / name, model, config, card, facts, torch.float16)
    print(card)


def halved(model: VAE) -> VAE:
    """The model with its weights rounded as they will be stored, so that what is measured is what is shipped."""
    model.load_state_dict({k: v.half().to(v.dtype) for k, v in model.state_dict().items()})
    return model


def measured(run: RunDirectory, sections: dict[str, Any], digits: int) -> str:
    """The card's last part: what was measured on the test digits, in the quick form."""
    rows = []
    for section in (sections["density"], sections["clusters, test"]):
        for measure in section["measures"]:
            if measure["name"].startswith(ON_CARD):
                value = f"{measure['value']:.4f}" if measure["unit"] == "share" else f"{measure['value']:.2f}"
                rows.append(f"| {measure['name']} | {value} | {measure['unit']} | {measure['definition']} |")
    machine = hardware()
    return "\n".join(
        [
            f"## Measured on {digits:,} test digits",
            "",
            "Binarization `dynamic` (drawn once); the weights as they are stored, in float16.",
            "",
            "| measure | value | unit | definition |",
            "|---|---|---|---|",
            *rows,
            "",
            f"`python -m benchmarks.ship {run.config().recipe}`, {machine['date'][:10]}; trained in "
            f"{seconds_of(run) / 60:.0f} minutes on {machine['processor']}, {machine['cores']} cores.",
            "",
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
