"""Fixtures that every room's tests may use."""

import numpy as np
import pytest
import torch

from digitvae.data import Splits, load_splits


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
