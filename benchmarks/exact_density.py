"""Recipe `exact` on all of MNIST: how long it trains, and how probable test digits are under it.

Trained on the first 48,000 training digits; settings were chosen on the last 12,000. Test digits choose nothing.
"""

from __future__ import annotations

import time

from benchmarks.common import finish, full_mnist, peak_memory_mb
from digitvae.config import load_recipe
from digitvae.evaluation.density import Effort
from digitvae.evaluation.suite import evaluate_model
from digitvae.training import Trainer

COMMAND = "python -m benchmarks.exact_density"
SHOWN = ("elbo", "iw_bound(500)", "log_prob_quadrature", "mixture of fixed points", "10-neighbour accuracy")


def main() -> None:
    splits = full_mnist()
    config = load_recipe("exact")
    began = time.perf_counter()
    trainer = Trainer(config, splits.train.images, splits.validation.images)
    for _ in range(config.training.epochs):
        trainer.train_epoch()
        print(trainer.progress.epoch, trainer.progress.sums.means(), flush=True)
    seconds = time.perf_counter() - began
    loss = trainer.validate()["loss"]
    memory = peak_memory_mb()
    model = trainer.trained_model.eval()
    sections = evaluate_model(model, splits, config.data.binarization, ["density", "clusters"], Effort(), print)
    measures = sections["density"]["measures"] + sections["clusters, test"]["measures"]
    rows = [["minutes of training", f"{seconds / 60:.1f}", "-", "-"], ["validation loss", f"{loss:.2f}", "-", "12,000"]]
    for measure in measures:
        if measure["name"] in SHOWN or measure["name"].startswith("AUROC"):
            spread = "-" if measure["spread"] is None else f"{measure['spread']:.2f} over {measure['over']}"
            digits = 4 if measure["unit"] == "share" else 2
            rows.append([measure["name"], f"{measure['value']:.{digits}f}", spread, f"{measure['n']:,} test"])
    result = {
        "seconds": seconds,
        "validation_loss": loss,
        "peak_memory_mb": memory,
        "evaluation_seconds": sections["density"]["seconds"],
        "measures": measures,
        "precision": trainer.precision,
        "data": splits.sha256,
    }
    finish("exact_density", COMMAND, result, ["measure", "value", "spread", "digits"], rows)


if __name__ == "__main__":
    main()
