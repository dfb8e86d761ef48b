"""Fixtures that every room's tests may use."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# Before torch: tests run side by side, a process a core, and threads that wait for each other would take longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from digitvae.checkpoint import save_model
from digitvae.config import Config
from digitvae.data import Splits, load_splits
from digitvae.models.hands import Hands
from digitvae.models.vae import VAE
from digitvae.studio import Studio
from digitvae.styling import Knobs

TINY = ["classes=10", "prior=flow", "latent_dim=4", "encoder=[32]", "decoder=[32]", "flow_width=8"]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A Chromium, one at a time: while one is open, as one of the whole session would be, no second can start."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install digitvae[test])")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("There is no Chromium on this machine")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def splits_5k() -> Splits:
    """The real 5,000 digits that need no network."""
    return load_splits("mnist-5k")


@pytest.fixture(scope="session")
def digits(splits_5k: Splits) -> np.ndarray:
    """200 real digits, uint8, shape (200, 28, 28)."""
    return splits_5k.train.images[:200]


@pytest.fixture(scope="session")
def x(digits: np.ndarray) -> torch.Tensor:
    """The same digits as a model sees them: float32 in [0, 1], shape (200, 1, 28, 28)."""
    return torch.from_numpy(digits).unsqueeze(1).float() / 255


@pytest.fixture(scope="session")
def tiny_model() -> VAE:
    """A model that is told the digit, with weights far from those of the start, so that noise and labels show."""
    model = VAE.from_config(Config().with_settings(TINY).model, 0)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "prior" in name or "decoder" in name:
            torch.nn.init.normal_(parameter, std=0.4, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def studio_folder(tiny_model: VAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that can draw."""
    from digitvae.export import export_studio

    path = tmp_path_factory.mktemp("studio") / "model"
    shared = np.kron(np.full((10, 10), 0.5) + 0.2 * np.eye(10), np.eye(4)).reshape(10, 4, 10, 4)
    hands = Hands(shared, np.zeros((10, 4)), np.tile(np.eye(4), (10, 1, 1)))
    save_model(path, tiny_model, Config().with_settings(TINY), "card")
    export_studio(path, tiny_model)
    np.savez(path / "hands.npz", shared=hands.shared, mean=hands.mean, scale=hands.scale)
    noise, labels = np.random.default_rng(0).normal(size=(1000, 4)), np.arange(1000) % 10
    Knobs.estimated(noise, labels, Studio(path).draw(noise, labels)).save(path)
    return path


@pytest.fixture(scope="session")
def studio_tiny(studio_folder: Path) -> Studio:
    """A studio whose digits are scribbles, but of the right kind."""
    return Studio(studio_folder)
