"""Put a model into the package: train it on all 60,000 training digits, measure it, write its folder and card.

The settings were chosen on the 12,000 validation digits with models trained on the other 48,000 (`LOG.md`); nothing is
changed for the 60,000. The training is kept (see `benchmarks.runs`). A model that is told the digit is equipped to
draw.

Usage: python -m benchmarks.ship NAME
       python -m benchmarks.ship --headers   gives all shipped cards the present header, and leaves the rest as it is
       python -m benchmarks.ship --scores    measures anew the scores of real digits that the models carry
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from benchmarks.common import full_mnist, hardware
from benchmarks.runs import minutes_of, trained
from digitvae.checkpoint import load_model, model_facts, save_model
from digitvae.config import load_recipe
from digitvae.data import Splits
from digitvae.data.sources import load_mnist, load_writers
from digitvae.equipping import equip
from digitvae.evaluation.files import reference_scores
from digitvae.evaluation.suite import evaluate_model
from digitvae.hub import card_header
from digitvae.models.vae import VAE
from digitvae.rundir import PRETRAINED, RunDirectory, shipped_models
from digitvae.running import model_card

ON_CARD = ("elbo", "iw_bound", "log_prob_quadrature", "AUROC", "10-neighbour", "FID", "precision", "recall", "coverage")
ON_CARD += ("nearest is trained on", "near-duplicates")


def main(name: str) -> None:
    splits = full_mnist()
    run = trained(name, load_recipe(name).with_settings(["train_on=all"]), splits)
    model, config = load_model(run.best)
    model = halved(model)
    data = model_facts(run.best)
    if model.classes:
        scores, sections = {}, evaluate_model(model, splits, "none", ["density", "samples"], notify=print)
    else:
        sections = evaluate_model(model, splits, "dynamic", ["density", "clusters"], notify=print)
        scores = scored(model, data, splits)
    record = min(run.metrics(), key=lambda epoch: epoch["validation"]["loss"])  # whose weights are the best
    card = model_card(config, run.manifest(), record) + "\n" + measured(run, sections, len(splits.test))
    made = {"minutes": round(minutes_of(run), 1), **hardware()}
    facts = {"data": run.manifest()["data"], "made": made, "scores": scores}
    save_model(PRETRAINED / name, model, config, card, facts, torch.float16)
    if model.classes:
        digits, _, _ = load_mnist(None, print)
        equip(PRETRAINED / name, digits, load_writers().train, print)
    print(card)


def scored(model: VAE, facts: dict[str, Any], splits: Splits) -> dict[str, Any]:
    """The scores of real digits that a model carries."""
    return {kind: reference_scores(model, facts, splits, kind).to_dict() for kind in ("dynamic", "none")}


def renew_scores() -> None:
    splits = full_mnist()
    for name in shipped_models():
        model, _ = load_model(PRETRAINED / name)
        path = PRETRAINED / name / "config.json"
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not model.classes:
            facts["scores"] = scored(model, facts, splits)
            path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def rewrite_headers() -> None:
    for name in shipped_models():
        data = model_facts(PRETRAINED / name)["data"]["name"]
        path = PRETRAINED / name / "README.md"
        _, _, rest = path.read_text(encoding="utf-8").removeprefix("---\n").partition("---\n")
        rest = rest.replace("`digitvae.checkpoint.load_model(folder)`", "`digitvae.from_pretrained(folder)`")
        path.write_text(card_header(data) + rest, encoding="utf-8")


def halved(model: VAE) -> VAE:
    """The model with its weights rounded as they will be stored, so that what is measured is what is shipped."""
    model.load_state_dict({k: v.half().to(v.dtype) for k, v in model.state_dict().items()})
    return model


def measured(run: RunDirectory, sections: dict[str, Any], digits: int) -> str:
    """The card's last part: what was measured on the test digits."""
    rows = []
    shown = [sections[title] for title in ("density", "clusters, test", "samples") if title in sections]
    for section in shown:
        for measure in section["measures"]:
            if measure["name"].startswith(ON_CARD):
                value = f"{measure['value']:.2f}" if measure["unit"] == "nats" else f"{measure['value']:.4f}"
                rows.append(f"| {measure['name']} | {value} | {measure['unit']} | {measure['definition']} |")
    machine, audit = hardware(), sections.get("samples", {}).get("copy_audit")
    verdict = []
    if audit is not None:
        verdict = (
            ["**Copy audit**: passed.", ""]
            if audit["passed"]
            else [f"**Copy audit failed**: {'; '.join(audit['why'])}.", ""]
        )
    return "\n".join(
        [
            f"## Measured on {digits:,} test digits",
            "",
            f"Binarization `{sections['density']['binarization']}`; the weights as they are stored, in float16.",
            "",
            "| measure | value | unit | definition |",
            "|---|---|---|---|",
            *rows,
            "",
            *verdict,
            f"`python -m benchmarks.ship {run.config().recipe}`, {machine['date'][:10]}; trained in "
            f"{minutes_of(run):.0f} minutes on {machine['processor']}, {machine['cores']} cores.",
            "",
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    {"--headers": rewrite_headers, "--scores": renew_scores}.get(sys.argv[1], lambda: main(sys.argv[1]))()
