"""Recipe `exact` on all of MNIST: how long it trains, and how probable test digits are under it.

Trained on the first 48,000 training digits; settings were chosen on the last 12,000. Test digits choose nothing. The
run is kept in `.cache/exact`: stopped, it goes on from there; finished, it is only measured again. Remove it to train
anew.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.common import finish, full_mnist
from digitvae.checkpoint import load_model
from digitvae.config import load_recipe
from digitvae.evaluation.density import Effort
from digitvae.evaluation.suite import evaluate_model
from digitvae.rundir import RunDirectory
from digitvae.running import Watcher, resume_run, train_run

COMMAND = "python -m benchmarks.exact_density"
RUN = Path(__file__).parent.parent / ".cache" / "exact"
SHOWN = ("elbo", "rate", "log_prob_quadrature", "mixture of fixed points", "10-neighbour accuracy")


class Lines(Watcher):
    """A line for each epoch."""

    def measured(self, record: dict) -> None:
        print(record["epoch"], record["train"]["loss"], record["validation"]["loss"], flush=True)


def main() -> None:
    splits = full_mnist()
    run = RunDirectory(RUN)
    if run.state_file.is_file():
        outcome = resume_run(RUN, splits, recipe="exact", watcher=Lines())
    else:
        outcome = train_run(load_recipe("exact"), splits, RUN, watcher=Lines())
    seconds = sum(session["seconds"] for session in run.manifest()["sessions"])
    model, config = load_model(run.best)
    sections = evaluate_model(model, splits, config.data.binarization, ["density", "clusters"], Effort(), print)
    measures = sections["density"]["measures"] + sections["clusters, test"]["measures"]
    rows = [
        ["minutes of training", f"{seconds / 60:.1f}", "-", "48,000 training"],
        ["validation loss, nats", f"{outcome.best_loss:.2f}", "-", "12,000 validation"],
    ]
    for measure in measures:
        if measure["name"] in SHOWN or measure["name"].startswith(("AUROC", "iw_bound")):
            spread = "-" if measure["spread"] is None else f"{measure['spread']:.2f} over {measure['over']}"
            digits = 4 if measure["unit"] == "share" else 2
            rows.append([measure["name"], f"{measure['value']:.{digits}f}", spread, f"{measure['n']:,} test"])
    result = {
        "seconds": seconds,
        "validation_loss": outcome.best_loss,
        "evaluation_seconds": sections["density"]["seconds"],
        "measures": measures,
        "recipe": config.to_dict(),
        "data": splits.sha256,
    }
    finish("exact_density", COMMAND, result, ["measure", "value", "spread", "digits"], rows)


if __name__ == "__main__":
    main()
