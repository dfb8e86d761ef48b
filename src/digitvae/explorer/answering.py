"""The addresses of the server, each a few lines: what is asked for, who answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from digitvae.errors import DigitVAEError, InputError
from digitvae.explorer.guard import Guard
from digitvae.explorer.pages import TYPES, page_files

if TYPE_CHECKING:
    from digitvae.explorer.drawings import Judge
    from digitvae.explorer.explored import Explored
    from digitvae.explorer.styles import Stylist

MOST_CODES = 1024
"""Digits that are decoded in one request, at most."""

FARTHEST = 1e6
"""Places farther out than this are slips."""

Answer = TypeVar("Answer")


class Desk:
    """What answers, once it is loaded, and the threads in which it works: the event loop itself never computes.

    Args:
        explored: The run or model, while or after it is loaded.
    """

    def __init__(self, explored: Future[Explored]) -> None:
        self.explored = explored
        self.judge: Future[Judge] = Future()
        self.stylist: Future[Stylist] = Future()
        # Decodes are short and many; drawings must not keep them waiting.
        self.quick = ThreadPoolExecutor(2, "quick")
        self.slow = ThreadPoolExecutor(1, "slow")

    def prepare(self) -> None:
        """Make ready what the views need, what takes least first; for a thread of its own."""
        explored = self.explored.result()
        if explored.stopped.is_set():
            return
        try:
            from digitvae.explorer.drawings import Judge
            from digitvae.explorer.styles import Stylist

            self.stylist.set_result(Stylist(explored.studio[0]))
            explored.encode()
            if explored.stopped.is_set():
                return
            judge = Judge(explored)
            judge.warm()
            self.judge.set_result(judge)
        except BaseException as error:
            explored.encoded.set()  # who waits for the points must not do so for ever
            for waited in (self.stylist, self.judge):
                if not waited.done():
                    waited.set_exception(error)
            raise

    async def quickly(self, what: Callable[..., Answer], *arguments: Any) -> Answer:
        """Compute something short."""
        return await asyncio.get_running_loop().run_in_executor(self.quick, what, *arguments)

    async def slowly(self, what: Callable[..., Answer], *arguments: Any) -> Answer:
        """Compute something that takes longer, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self.slow, what, *arguments)

    def close(self) -> None:
        """Begin nothing new, and leave what is not finished."""
        self.explored.add_done_callback(_stop)
        self.quick.shutdown(wait=False, cancel_futures=True)
        self.slow.shutdown(wait=False, cancel_futures=True)


def _stop(explored: Future[Explored]) -> None:
    if not explored.exception():
        explored.result().stopped.set()


async def _there(waited: Future[Answer]) -> Answer:
    """What all requests wait for together: one that is cancelled must not take it away from the rest."""
    return await asyncio.shield(asyncio.wrap_future(waited))


class Decoding:
    """Decodes what several pages ask for at the same time in one go: the weights are read once for all of them.

    Args:
        desk: Whose threads are used.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: list[tuple[np.ndarray[Any, Any], int, asyncio.Future[Any]]] = []
        self._work: asyncio.Task[None] | None = None

    async def decode(self, explored: Explored, places: np.ndarray[Any, Any], digit: int) -> Any:
        """As `Explored.decode`, with what waits beside it."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((places, digit, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run(explored))
        return await answer

    async def _run(self, explored: Explored) -> None:
        while self._waiting:
            digit = self._waiting[0][1]
            taken = [each for each in self._waiting if each[1] == digit]
            self._waiting = [each for each in self._waiting if each[1] != digit]
            try:
                together = np.concatenate([places for places, _, _ in taken])
                images = await self._desk.quickly(explored.decode, together, digit)
            except Exception as error:
                for _, _, answer in taken:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            start = 0
            for places, _, answer in taken:
                if not answer.done():  # who asked may have gone
                    answer.set_result(images[start : start + len(places)])
                start += len(places)


def create_app(desk: Desk, hosts: frozenset[str]) -> Guard:
    """The server's application.

    Args:
        desk: What answers.
        hosts: Names, with port, under which it may be asked.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    files = page_files()
    _pages(app, files)
    _map(app, desk)
    _studio(app, desk)
    app.add_exception_handler(DigitVAEError, lambda _, error: _failure(400, str(error)))
    app.add_exception_handler(RequestValidationError, lambda _, error: _failure(422, _wrong_value(error)))
    app.add_exception_handler(HTTPException, _not_found)
    return Guard(app, hosts)


def _pages(app: FastAPI, files: dict[str, bytes]) -> None:
    @app.get("/")
    async def page() -> Response:
        return Response(files["index.html"], media_type=TYPES["html"], headers={"Cache-Control": "no-cache"})

    @app.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        kind = TYPES[name.rpartition(".")[2]]
        return Response(files[name], media_type=kind, headers={"Cache-Control": "no-cache"})


def _map(app: FastAPI, desk: Desk) -> None:
    async def loaded() -> Explored:
        return await _there(desk.explored)

    @app.get("/api/about")
    async def about() -> dict[str, Any]:
        return await desk.quickly((await loaded()).about)

    @app.get("/api/points")
    async def points() -> Response:
        explored = await loaded()
        done = explored.encoded.is_set()  # asked first: points that come after it are not said to be all
        return _binary(explored.places.tobytes(), {"X-Done": str(int(done))})

    @app.get("/api/support")
    async def support() -> dict[str, Any]:
        explored = await loaded()
        return await desk.slowly(explored.edge)

    @app.get("/api/clusters")
    async def clusters() -> list[dict[str, Any]]:
        explored = await loaded()
        return await desk.slowly(lambda: explored.clusters)

    @app.get("/api/snapshots/{epoch}")
    async def snapshot(epoch: int) -> Response:
        explored = await loaded()
        if epoch not in explored.epochs:
            raise HTTPException(404)
        places, images = await desk.slowly(explored.snapshot, epoch)
        return _binary(places.tobytes() + images.tobytes(), {"X-Points": str(len(places))})

    decoding = Decoding(desk)

    async def decode(request: Request) -> Response:
        places = _places(await request.body())
        digit = request.query_params.get("digit", "0")
        if digit not in "0123456789" or len(digit) != 1:
            raise InputError(f"A digit is 0 to 9, not {digit[:20]}.")
        return _binary((await decoding.decode(await loaded(), places, int(digit))).tobytes())

    # Asked for at every move of a pointer, so it does without FastAPI's reading of parameters.
    app.add_route("/api/decode", decode, methods=["POST"])

    @app.post("/api/read")
    async def read(request: Request, digit: int = 0) -> dict[str, Any]:
        places = _places(await request.body())
        _check_digit(digit)
        explored = await loaded()
        found = await desk.quickly(lambda: explored.read(explored.decode(places[:1], digit))[0])
        read = {"digit": int(found.argmax()), "probability": round(float(found.max()), 4)}
        return {**read, "nearest": await desk.quickly(explored.nearest, places[0], digit)}

    @app.post("/api/draw")
    async def draw(request: Request, digit: int | None = None) -> dict[str, Any]:
        content, kind = await request.body(), request.headers.get("content-type", "").partition(";")[0]
        judge = await _there(desk.judge)
        from digitvae.explorer.drawings import fitted  # by now it is there, and costs the event loop no time

        return await desk.slowly(lambda: judge.answer(fitted(content, kind), digit))


def _studio(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/style")
    async def style(request: Request) -> dict[str, Any]:
        stylist = await _there(desk.stylist)
        from digitvae.explorer.styles import Wish

        try:
            wish = Wish.read(json.loads(await request.body()))
        except (ValueError, RecursionError) as error:
            raise error if isinstance(error, InputError) else InputError("That is not JSON.") from error
        return await desk.quickly(stylist.draw, wish)

    @app.get("/api/write")
    async def write(
        text: str,
        hand: int = 0,
        seed: int = 0,
        height: int = 64,
        ink: str = "#000000",
        paper: str = "#ffffff",
        format: str = "png",
    ) -> Response:
        stylist = await _there(desk.stylist)
        content, kind = await desk.quickly(stylist.written, text, hand, seed, height, ink, paper, format)
        return Response(content, media_type=kind)


def _places(content: bytes) -> np.ndarray[Any, Any]:
    """Places that a client sent: float32, two for each, lowest byte first.

    Raises:
        InputError: If they are too many, no numbers or too far out.
    """
    if not content or len(content) % 8 or len(content) > 8 * MOST_CODES:
        raise InputError(f"Send 1 to {MOST_CODES:,} places, two float32 numbers each.")
    places = np.frombuffer(content, "<f4").reshape(-1, 2)
    if not (np.abs(places) <= FARTHEST).all():  # not a number compares as False
        raise InputError(f"A place needs two numbers from {-FARTHEST:,.0f} to {FARTHEST:,.0f}.")
    return places


def _check_digit(digit: int) -> None:
    if digit not in range(10):
        raise InputError(f"A digit is 0 to 9, not {digit}.")


def _binary(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, media_type="application/octet-stream", headers=headers)


def _failure(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


def _wrong_value(error: Any) -> str:
    first = error.errors()[0]
    return f"The value of {first['loc'][-1]} cannot be used: {first['msg'][0].lower()}{first['msg'][1:]}."


def _not_found(_: Request, error: Any) -> JSONResponse:
    return _failure(error.status_code, "There is nothing here." if error.status_code == 404 else str(error.detail))
