"""Fixtures that every room's tests may use."""

import pytest

from digitvae.data import Splits, load_splits


@pytest.fixture(scope="session")
def splits_5k() -> Splits:
    """The real 5,000 digits that need no network."""
    return load_splits("mnist-5k")
