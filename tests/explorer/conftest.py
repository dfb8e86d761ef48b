from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from digitvae.config import load_recipe
from digitvae.data import Splits, load_splits
from digitvae.explorer.answering import Desk, create_app
from digitvae.explorer.explored import Explored
from digitvae.running import train_run
from digitvae.studio import Studio

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
def studio() -> Studio:
    """The shipped studio."""
    return Studio.load(threads=1)


@pytest.fixture(scope="session")
def explored(run: Path, digits: Splits) -> Explored:
    return Explored(str(run), digits, "mnist-5k")


@pytest.fixture(scope="session")
def desk(explored: Explored, desk_of) -> Desk:
    return desk_of(explored)


@pytest.fixture(scope="session")
def client(desk: Desk) -> TestClient:
    return TestClient(create_app(desk, frozenset({HOST})), base_url=f"http://{HOST}")


class Visit:
    """A page of the explorer in the browser, and what tests look at; else it is Playwright's page."""

    def __init__(self, page) -> None:
        self.page = page
        self.fingers = None

    def __getattr__(self, name: str):
        return getattr(self.page, name)

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until an expression is true. Playwright's own way needs `eval`, which the page's policy forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(30)

    def ready(self) -> None:
        """Wait for the map: its points, its edge and the first digit."""
        self.until("DV.points.edge !== null && document.getElementById('probe').grey")

    def has(self, text: str) -> None:
        """Wait until the address has a text."""
        self.until(f"location.hash.includes({text!r})")

    def digit(self, canvas: str) -> np.ndarray:
        """Grey levels that a canvas was painted with."""
        found = f"(() => {{ const [g, i] = document.getElementById('{canvas}').grey;"
        return self._grey(found + " return DV.base64(g.slice(784 * i, 784 * i + 784)); })()")[0]

    def strip(self) -> np.ndarray:
        """The digits of the interpolation."""
        found = "(() => { const all = [...document.querySelectorAll('#strip canvas')].map(c => c.grey);"
        found += (
            " return DV.base64(Uint8Array.from(all.flatMap(([g, i]) => [...g.slice(784 * i, 784 * i + 784)]))); })()"
        )
        return self._grey(found)

    def _grey(self, code: str) -> np.ndarray:
        return np.frombuffer(bytearray(base64.b64decode(self.page.evaluate(code))), np.uint8).reshape(-1, 28, 28)

    def middle(self) -> tuple[float, float]:
        """The middle of the map, in pixels."""
        box = self.page.locator("#map-plot .over").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def copied(self, place: str, what: str) -> str:
        """What a button of `place` puts on the clipboard: its ``command`` or ``python``."""
        self.page.locator(f"#{place} [data-copy={what}]").click()
        self.until(f"document.querySelector('#{place} [data-copy={what}]').textContent === 'Copied'")
        return self.page.evaluate("navigator.clipboard.readText()")

    def stroke(self, *way: tuple[float, float]) -> None:
        """Write on the pad with the mouse; places are shares of its side, from the top left."""
        self.page.locator("#pad").wait_for()
        box = self.page.locator("#pad").bounding_box()
        spots = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in way]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for spot in spots[1:]:
            self.page.mouse.move(*spot, steps=8)
        self.page.mouse.up()

    def drawn(self) -> None:
        """Write a one with the mouse, and wait for the answer."""
        self.stroke((0.55, 0.2), (0.47, 0.8))
        self.until("!document.getElementById('answer').hidden")

    def touch(self, kind: str, *spots: tuple[float, float]) -> None:
        """Fingers on the screen, by the browser's own protocol: Playwright's touch screen only taps."""
        if self.fingers is None:
            self.fingers = self.page.context.new_cdp_session(self.page)
        points = [{"x": a, "y": b, "id": n} for n, (a, b) in enumerate(spots)]
        self.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def tab_to(self, selector: str) -> None:
        """Go on with Tab until the focus is there, and seen."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                assert self.page.evaluate("document.activeElement.matches(':focus-visible')")
                return
        pytest.fail(f"{selector} is not in the tab order")


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Desk], str]]:
    """Serves a desk in a thread; gives the address."""
    import uvicorn

    from digitvae.explorer.serving import bound

    servers = []

    def started(desk: Desk) -> str:
        place = bound(0)
        host = f"127.0.0.1:{place.getsockname()[1]}"
        app = create_app(desk, frozenset({host}))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([place])), daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://{host}/"

    yield started
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def address(serve, desk: Desk) -> str:
    return serve(desk)


@pytest.fixture
def opened(browser, address: str) -> Iterator[Callable[..., Visit]]:
    """Opens a view; afterwards there must have been no error and no request to anywhere else."""
    faults: list[str] = []
    contexts = []

    def open_page(state: str = "", width: int = 1440, where: str = address, **options: object) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        allowed = (where.rpartition("/")[0], "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(allowed) else faults.append(r.url))
        page.goto(where + state)
        contexts.append(context)
        return Visit(page)

    open_page.faults = faults
    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
