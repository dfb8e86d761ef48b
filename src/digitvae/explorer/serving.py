"""The server's life: a free port on this machine, the page at once, the model as soon as it is loaded, a clean stop."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import webbrowser
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from digitvae.errors import InputError

if TYPE_CHECKING:
    from digitvae.explorer.explored import Explored

HOST = "127.0.0.1"
FIRST_PORT = 8000
TRIED = 20
"""Ports that are tried, from `FIRST_PORT` on, where none is asked for."""


PATIENCE = 5.0
"""Seconds that the end waits for what is being computed."""


def bound(port: int | None) -> socket.socket:
    """A socket on this machine alone, at a port or, where None, at the first free one from `FIRST_PORT` on.

    Raises:
        InputError: If the port is taken, not allowed or none.
    """
    if port is not None:
        if not 0 <= port < 2**16:
            raise InputError(f"A port is 0 to 65535, not {port}.")
        found = _try(port)
        if isinstance(found, OSError):
            raise InputError(
                f"Port {port} cannot be used ({found.strerror}): name another with --port, or leave it out."
            ) from found
        return found
    for each in (*range(FIRST_PORT, FIRST_PORT + TRIED), 0):
        found = _try(each)
        if not isinstance(found, OSError):
            return found
    raise InputError("No port is free on this machine: stop another server.")


def _try(port: int) -> socket.socket | OSError:
    # Said in full, for asyncio sends small answers at once (TCP_NODELAY) on such sockets alone; else each waits 40 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere this would let two servers have one port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(128)
    except OSError as error:
        made.close()
        return error
    made.setblocking(False)
    return made


def names(port: int) -> frozenset[str]:
    """Names by which pages on this machine ask the server at `port`; browsers leave out port 80, which is usual."""
    ending = "" if port == 80 else f":{port}"
    return frozenset({f"{HOST}:{port}", f"localhost:{port}", f"{HOST}{ending}", f"localhost{ending}"})


def serve(
    load: Callable[[], Explored], place: socket.socket, open_browser: bool, notify: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C. The page comes at once; what needs the model waits for it.

    Args:
        load: Gives the run or model; called in a thread of its own.
        place: The socket to listen on; it is closed at the end.
        open_browser: Whether to open the page in the browser.
        notify: Told the address.

    Raises:
        DigitVAEError: What `load` raised, once the server has stopped for it.
    """
    import uvicorn

    from digitvae.explorer.answering import Desk, create_app

    port = place.getsockname()[1]
    explored: Future[Explored] = Future()
    desk = Desk(explored)
    app = create_app(desk, names(port))
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,  # a page that is looked at for a while need not connect anew
    )
    server = uvicorn.Server(config)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            explored.set_result(load())
            desk.prepare()
        except BaseException as error:
            failed.append(error)
            if not explored.done():
                explored.set_exception(error)
            server.should_exit = True

    loading = threading.Thread(target=work, daemon=True, name="loading")
    loading.start()
    address = f"http://{HOST}:{port}/"
    notify(f"Explorer: {address} (Ctrl-C stops it)")
    if open_browser:
        webbrowser.open(address)
    try:
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the usual end
            server.run(sockets=[place])
    finally:
        desk.close()
        place.close()
        loading.join(PATIENCE)
    if failed:
        raise failed[0]
