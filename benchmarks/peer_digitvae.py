"""This project against the clock: run by `benchmarks.peers` as the peers are, in a process of its own.

Usage: python -m benchmarks.peer_digitvae DIGITS.npz SETTINGS-AS-JSON
Prints one line of JSON per epoch, with the seconds spent in training alone; ends when these are spent. With a recipe
its schedule is made to end when the time does, and only the last line is to be read.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks.common import peak_memory_mb
from digitvae.config import Config, load_recipe
from digitvae.training import Trainer

MARGIN = 1.05
"""How much slower than the first, trial epoch the others may be without passing the time."""


def main() -> None:
    settings = json.loads(sys.argv[2])
    with np.load(sys.argv[1]) as digits:
        train, validation = digits["train"], digits["validation"]
    if settings["recipe"]:
        config = load_recipe(settings["recipe"])
        trial = Trainer(config, train, validation)
        trial.train_epoch()
        trial.train_epoch()
        epochs = int(settings["seconds"] / (MARGIN * trial.progress.epoch_seconds))
        config = config.with_settings([f"epochs={max(1, epochs)}"])
    else:
        same = ["encoder=[512]", "decoder=[512]", "schedule=constant", "epochs=100000"]
        same += [f"precision={'bfloat16' if settings['bfloat16'] else 'float32'}"]
        same += [f"batch_size={settings['batch']}", f"learning_rate={settings['learning_rate']}"]
        config = Config().with_settings(same)
    trainer = Trainer(config, train, validation)
    seconds = 0.0
    while seconds < settings["seconds"] and trainer.progress.epoch < config.training.epochs:
        trainer.train_epoch()
        seconds += trainer.progress.epoch_seconds
        images = trainer.progress.epoch * len(train)
        loss = trainer.validate()["loss"] if settings["validate"] else None
        line = {"seconds": seconds, "images": images, "validation_loss": loss, "peak_memory_mb": peak_memory_mb()}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
