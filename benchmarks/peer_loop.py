"""The PyTorch loop that everyone writes: a Dataset with a transform per image, a DataLoader, Adam.

Usage: python peer_loop.py DIGITS.npz SETTINGS-AS-JSON
Prints one line of JSON per epoch, with the seconds spent in training alone; ends when these are spent.
"""

import contextlib
import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Digits(Dataset):
    """Digits as numbers in [0, 1], made one by one."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]).float().div(255).unsqueeze(0)


class VAE(nn.Module):
    """784-512-2-512-784 with ReLU."""

    def __init__(self):
        super().__init__()
        self.hidden, self.loc, self.log_var = nn.Linear(784, 512), nn.Linear(512, 2), nn.Linear(512, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, 784))

    def forward(self, x):
        hidden = F.relu(self.hidden(x.flatten(1)))
        loc, log_var = self.loc(hidden).float(), self.log_var(hidden).float()
        z = loc + torch.exp(0.5 * log_var) * torch.randn_like(loc)
        return self.decoder(z).float(), loc, log_var


def loss_of(model, x):
    logits, loc, log_var = model(x)
    distortion = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
    return (distortion + 0.5 * (loc.square() + log_var.exp() - 1 - log_var).sum()) / len(x)


def main():
    settings = json.loads(sys.argv[2])
    torch.manual_seed(0)
    with np.load(sys.argv[1]) as digits:
        train, validation = digits["train"], torch.from_numpy(digits["validation"]).float().div(255)
    workers = settings["workers"]
    loader = DataLoader(
        Digits(train), settings["batch"], shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), settings["learning_rate"])
    fast = torch.autocast("cpu", torch.bfloat16) if settings["bfloat16"] else contextlib.nullcontext()
    seconds, images = 0.0, 0
    while seconds < settings["seconds"]:
        began = time.perf_counter()
        for x in loader:
            optimizer.zero_grad()
            with fast:
                loss = loss_of(model, x)
            loss.backward()
            optimizer.step()
        seconds += time.perf_counter() - began
        images += len(train)
        loss = None
        if settings["validate"]:
            with torch.inference_mode():
                parts = torch.split(validation, 2000)
                loss = sum(float(loss_of(model, part)) * len(part) for part in parts) / len(validation)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line = {"seconds": seconds, "images": images, "validation_loss": loss, "peak_memory_mb": memory}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
