"""The explorer under load, on loopback: 50 pages at once, each with 5 decodes a second and a drawing every 10 s.

The server is the command as users start it, in a process of its own; the clients are this process, so they share the
machine's cores with it. A request's time is from its sending to the last byte of its answer.

Usage: python -m benchmarks.explorer_load [SECONDS]
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx
import numpy as np
from PIL import Image

from benchmarks.common import finish
from digitvae.data import load_splits

CLIENTS = 50
DECODES = 5.0
"""A second, for each client."""

DRAWING_EVERY = 10.0
"""Seconds."""

GOALS = {"decode": 250, "drawing": 1000}
"""Milliseconds that 99 % may take."""

MODEL = "map"


@dataclass
class Found:
    """Milliseconds of each answer, and what failed."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: {"decode": [], "drawing": []})
    failures: list[str] = field(default_factory=list)


def main(seconds: str = "60") -> None:
    command = [sys.executable, "-m", "digitvae", "explore", MODEL, "--no-browser", "--port", "0"]
    before = [round(value, 2) for value in os.getloadavg()]
    began = time.perf_counter()
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        start = waits(address.group(), began)
        found = asyncio.run(load(address.group(), float(seconds)))
    finally:
        server.send_signal(signal.SIGINT)
        stopping = time.perf_counter()
        code = server.wait(30)
        stopped = time.perf_counter() - stopping
    rows, result = [], {}
    for kind, goal in GOALS.items():
        times = np.array(found.milliseconds[kind])
        middle, high, most = np.percentile(times, [50, 99, 100])
        result[kind] = {"count": len(times), "median_ms": middle, "p99_ms": high, "max_ms": most}
        rows.append([kind, f"{len(times):,}", f"{middle:.1f} ms", f"{high:.1f} ms", f"{most:.0f} ms", f"{goal:,} ms"])
    rows.append(["failures", str(len(found.failures)), "", "", "", "0"])
    for name, taken in start.items():
        rows.append([f"start: {name}", "1", f"{taken:.2f} s", "", "", "3 s" if name != "drawings answered" else ""])
    rows.append([f"stop at Ctrl-C: exit code {code}", "1", f"{stopped:.2f} s", "", "", ""])
    result |= {
        "clients": CLIENTS,
        "seconds": float(seconds),
        "failures": found.failures[:20],
        "failure_count": len(found.failures),
        "start_seconds": start,
        "stop": {"exit_code": code, "seconds": stopped},
        "load_average_before": before,
        "load_average_after": [round(value, 2) for value in os.getloadavg()],
    }
    columns = ["what", "count", "median", "p99", "longest", "goal"]
    finish("explorer_load", "python -m benchmarks.explorer_load", result, columns, rows)


def waits(address: str, began: float) -> dict[str, float]:
    """Seconds from the start of the command to the page, to all points of the map, and to the first drawing."""
    found = {}
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/").status_code == 200
        found["page"] = time.perf_counter() - began
        assert client.post("api/decode", content=bytes(8)).status_code == 200
        found["first decode"] = time.perf_counter() - began
        while client.get("api/points").headers["X-Done"] != "1":
            time.sleep(0.02)
        found["all points"] = time.perf_counter() - began
        assert client.post("api/draw", content=pictures()[0], headers={"Content-Type": "image/png"}).status_code == 200
        found["drawings answered"] = time.perf_counter() - began
    return found


def pictures() -> list[bytes]:
    """Real digits as a page sends drawings: 280 x 280 PNG."""
    found = []
    for image in load_splits("mnist-5k").validation.images[:CLIENTS]:
        content = io.BytesIO()
        Image.fromarray(image).resize((280, 280), Image.Resampling.BICUBIC).save(content, "PNG")
        found.append(content.getvalue())
    return found


async def load(address: str, seconds: float) -> Found:
    """All clients at once; each begins at another moment of its rhythm."""
    found, drawings = Found(), pictures()
    end = time.perf_counter() + seconds
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(CLIENTS):
        places = rng.normal(size=(1000, 2)).astype(np.float32)
        first, later = rng.uniform(0, 1 / DECODES), rng.uniform(0, DRAWING_EVERY)
        tasks.append(repeat(address, "decode", [p.tobytes() for p in places], 1 / DECODES, first, end, found))
        tasks.append(repeat(address, "drawing", [drawings[number]], DRAWING_EVERY, later, end, found))
    await asyncio.gather(*tasks)
    return found


class Connection:
    """A connection that is kept open. Written out here, for a client of a library takes as much time as the server."""

    def __init__(self, address: str) -> None:
        self.host = address.removeprefix("http://").rstrip("/")

    async def post(self, path: str, body: bytes, media: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if not hasattr(self, "reader"):
            name, _, port = self.host.partition(":")
            self.reader, self.writer = await asyncio.open_connection(name, int(port))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        return int(lines[0].split()[1]), await self.reader.readexactly(length)


async def repeat(
    address: str, kind: str, bodies: list[bytes], every: float, first: float, end: float, found: Found
) -> None:
    """Ask in a rhythm; what is late is asked at once, so that a slow server is not asked less."""
    connection = Connection(address)  # one for decodes, one for drawings, as in a browser
    path, media = ("/api/decode", "application/octet-stream") if kind == "decode" else ("/api/draw", "image/png")
    due, count = time.perf_counter() + first, 0
    while due < end:
        await asyncio.sleep(max(0, due - time.perf_counter()))
        began = time.perf_counter()
        try:
            status, answer = await connection.post(path, bodies[count % len(bodies)], media)
            if status != 200 or (kind == "decode" and len(answer) != 784):
                found.failures.append(f"{kind}: status {status}")
            found.milliseconds[kind].append(1000 * (time.perf_counter() - began))
        except (OSError, asyncio.IncompleteReadError) as error:
            connection = Connection(address)
            found.failures.append(f"{kind}: {type(error).__name__}")
        count += 1
        due += every


if __name__ == "__main__":
    main(*sys.argv[1:])
