"""A tiny comparison with contenders made by hand: a copier, one that never draws 3 or 8, one that diverges."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digitvae.comparison import Settings, compare, comparison_content, contenders
from digitvae.comparison import contest as contest_module
from digitvae.comparison.contenders import CONTENDERS, Contender, TrivialContender
from digitvae.data import Digits, Splits
from digitvae.errors import TrainingDivergedError
from digitvae.evaluation import samples

TINY = Settings(("copier", "without", "diverges"), budget=1.0, seeds=2, drawn=600, curve=300)


class Diverges(Contender):
    """Fails at its second look."""

    title, kind, parameters = "diverges", "gan", 7

    def __init__(self, splits: Splits) -> None:
        self._digits = splits.train

    def train(self, seconds: float) -> None:
        if seconds > 0.15:
            raise TrainingDivergedError("The loss of the critic is nan at step 2.")
        self.seconds = seconds

    def draw(self, n: int, seed: int) -> Digits:
        return self._digits.subset(slice(n))


def makers(splits: Splits):
    train = splits.train
    kept = ~np.isin(train.labels, (3, 8))
    return {
        **CONTENDERS,
        "copier": lambda s, budget, seed: TrivialContender(
            "copier", lambda n, draw: train.subset(np.arange(n) % 300), 1
        ),
        "without": lambda s, budget, seed: TrivialContender(
            "without", lambda n, draw: train.subset(kept).subset(slice(n)), 2
        ),
        "diverges": lambda s, budget, seed: Diverges(s),
    }


@pytest.fixture(scope="session")
def small(splits_5k: Splits) -> Splits:
    """Real digits enough to tell contenders apart: 1,500 to train on, 300 to judge by."""
    return Splits(
        "mnist-5k", splits_5k.train.subset(slice(1500)), splits_5k.validation.subset(slice(300)), None, "0" * 64
    )


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Classifiers, searches and edits as short as they can be: what they find is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "CLASSIFIER", replace(samples.CLASSIFIER, epochs=1))
        patch.setattr(contenders, "SEARCH_STEPS", 10)
        patch.setattr(contest_module, "PAIRS", 2)
        patch.setattr(contest_module, "SCORED", 100)
        yield


@pytest.fixture(scope="session")
def compared(small: Splits, tmp_path_factory: pytest.TempPathFactory):
    """The folder and the content of the comparison of hand-made contenders."""
    folder = tmp_path_factory.mktemp("comparison") / "hand-made"
    entries = compare(folder, small, TINY, makers=makers(small))
    return folder, json.loads(json.dumps(comparison_content(entries, TINY, small)))


@pytest.fixture(scope="session")
def contest(small: Splits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Real VAEs and GANs, trained for a moment."""
    settings = Settings(("studio", "map", "gan", "gan-classic"), budget=1.0, seeds=1, drawn=400, curve=300)
    folder = tmp_path_factory.mktemp("comparison") / "real"
    entries = compare(folder, small, settings)
    return folder, json.loads(json.dumps(comparison_content(entries, settings, small)))
