"""pythae's own VAE and trainer: a program of its own, run by `benchmarks.peers` in its own environment.

Usage: python peer_pythae.py DIGITS.npz SETTINGS-AS-JSON
Prints one line of JSON per epoch, with the seconds spent in training alone; ends when these are spent.
"""

import contextlib
import json
import logging
import resource
import sys
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch.nn import functional as F


class Clock(TrainingCallback):
    """Stops the clock while it validates, and training when the time is spent."""

    def __init__(self, model, validation, images, settings):
        self.model, self.validation, self.images, self.settings = model, validation, images, settings
        self.seconds, self.seen = 0.0, 0

    def on_epoch_begin(self, training_config, **kwargs):
        self.began = time.perf_counter()

    def on_epoch_end(self, training_config, **kwargs):
        self.seconds += time.perf_counter() - self.began
        self.seen += self.images
        loss = validation_loss(self.model, self.validation) if self.settings["validate"] else None
        report(self.seconds, self.seen, loss)
        if self.seconds >= self.settings["seconds"]:
            raise KeyboardInterrupt


def validation_loss(model, images):
    """Summed binary cross-entropy plus summed KL divergence, mean over images, one code each."""
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for x in torch.split(images, 2000):
            encoded = model.encoder(x)
            loc, log_var = encoded.embedding, encoded.log_covariance
            z = loc + torch.exp(0.5 * log_var) * torch.randn_like(loc)
            mean = model.decoder(z).reconstruction
            rate = 0.5 * (loc.square() + log_var.exp() - 1 - log_var).sum()
            total += float(F.binary_cross_entropy(mean, x, reduction="sum") + rate)
    model.train()
    return total / len(images)


def report(seconds, images, loss):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"seconds": seconds, "images": images, "validation_loss": loss, "peak_memory_mb": memory}),
        flush=True,
    )


def main():
    logging.disable(logging.INFO)
    settings = json.loads(sys.argv[2])
    torch.manual_seed(0)
    with np.load(sys.argv[1]) as digits:
        train, validation = (torch.from_numpy(digits[k]).float().div(255).unsqueeze(1) for k in ("train", "validation"))
    # Its default networks: one hidden layer of 512 with ReLU on either side.
    model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce"))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10_000,
            learning_rate=settings["learning_rate"],
            per_device_train_batch_size=settings["batch"],
            train_dataloader_num_workers=settings["workers"],
            optimizer_cls="Adam",
            no_cuda=True,
        )
        clock = Clock(model, validation, len(train), settings)
        dataset = BaseDataset(train, torch.zeros(len(train)))
        trainer = BaseTrainer(model, train_dataset=dataset, training_config=config, callbacks=[clock])
        with contextlib.suppress(KeyboardInterrupt):
            trainer.train()


if __name__ == "__main__":
    main()
