"""Real digits, a cache of the tests' own, and no network."""

import os

import numpy as np
import pytest

from digitvae.data import Digits, load_splits, sources


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path_factory):
    """Nothing listens on port 9; the cache is shared by the session, so that the slow CSV is read once."""
    monkeypatch.setenv("DIGITVAE_CACHE", str(tmp_path_factory.getbasetemp() / "shared-cache"))
    monkeypatch.setattr(sources, "MNIST_MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(sources, "QMNIST_MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv("DIGITVAE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Digits:
    """1,000 real digits in mixed order: of the whole of MNIST where it is at hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITVAE_CACHE", str(tmp_path_factory.getbasetemp() / "shared-cache"))
        name = "mnist" if os.environ.get("DIGITVAE_DATA") else "mnist-5k"
        return load_splits(name, fallback=False).train.subset(np.arange(1000))


@pytest.fixture
def few(digits) -> Digits:
    return digits.subset(slice(0, 40))
