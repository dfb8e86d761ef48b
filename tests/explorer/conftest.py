from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from digitvae.config import load_recipe
from digitvae.data import Splits, load_splits
from digitvae.explorer.answering import Desk, create_app
from digitvae.explorer.explored import Explored
from digitvae.running import train_run

HOST = "127.0.0.1:8000"
TINY = ["data.name=mnist-5k", "network=mlp", "encoder=[64]", "decoder=[64]", "activation=relu", "batch_size=64"]


@pytest.fixture(scope="session")
def digits() -> Splits:
    """A few real digits."""
    splits = load_splits("mnist-5k")
    return replace(splits, train=splits.train.subset(slice(800)), validation=splits.validation.subset(slice(300)))


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory, digits: Splits) -> Callable[..., Path]:
    """Trains a tiny run."""

    def made(*settings: str, epochs: int = 3) -> Path:
        config = load_recipe("map").with_settings([*TINY, f"epochs={epochs}", *settings])
        out = tmp_path_factory.mktemp("run") / "tiny"
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        train_run(config, digits, out)
        torch.set_num_threads(threads)
        return out

    return made


@pytest.fixture(scope="session")
def run(make_run) -> Path:
    """A run of a plane, with three snapshots."""
    return make_run("snapshots=[1,2,3]")


@pytest.fixture(scope="session")
def desk_of() -> Iterator[Callable[[Explored], Desk]]:
    """What answers for a run or model, with everything ready."""
    desks = []

    def made(explored: Explored) -> Desk:
        future: Future[Explored] = Future()
        future.set_result(explored)
        desks.append(Desk(future))
        desks[-1].prepare()
        return desks[-1]

    yield made
    for desk in desks:
        desk.close()


@pytest.fixture(scope="session")
def client_for(desk_of) -> Callable[[Explored], TestClient]:
    """Who asks the server of a run or model."""

    def made(explored: Explored) -> TestClient:
        return TestClient(create_app(desk_of(explored), frozenset({HOST})), base_url=f"http://{HOST}")

    return made


@pytest.fixture(scope="session")
def explored(run: Path, digits: Splits) -> Explored:
    return Explored(str(run), digits, "mnist-5k")


@pytest.fixture(scope="session")
def desk(explored: Explored, desk_of) -> Desk:
    return desk_of(explored)


@pytest.fixture(scope="session")
def client(desk: Desk) -> TestClient:
    return TestClient(create_app(desk, frozenset({HOST})), base_url=f"http://{HOST}")
