"""The map in a real browser: from a move of the pointer to the decoded digit, and how smoothly 12,000 points move.

Chromium on this machine, headless, at 1440 x 900, on the shipped model `map` with all validation digits of MNIST. A
round trip is from the pointer's move, as the browser stamps it, to the frame after the digit was painted; an answer is
the part of it from asking the server to its answer. A frame is the time from one frame to the next while the map is
zoomed and moved in each; above 16.7 ms a screen's rhythm of 60 Hz is missed. A drawing is what all points take of it.

Usage: python -m benchmarks.explorer_browser
"""

from __future__ import annotations

import math
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.common import finish

MODEL = "map"
MOVES = 200
GOALS = {"round trip": 30.0, "frame": 1000 / 60}
"""Milliseconds that half of them may take."""

FRAMES = """moves => new Promise(done => {
  const plot = DV.views.map.plot(), times = [];
  let last = null, n = 0;
  plot.frames.length = 0;
  const step = now => {
    if (last !== null) times.push(now - last);
    last = now;
    if (n === moves) return done([times, plot.frames]);
    if (n % 50 < 25) plot.zoom(n < moves / 2 ? 1.02 : 1 / 1.02, 300, 300); else plot.move(n % 2 ? 12 : -11, 5);
    n += 1;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
"""Zooms in, moves about and zooms out, once a frame."""


def main() -> None:
    command = [sys.executable, "-m", "digitvae", "explore", MODEL, "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        with sync_playwright() as api:
            browser = api.chromium.launch(executable_path=shutil.which("chromium"))
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address.group() + "#map")
            found = trips(page) | frames(page)
            points = page.evaluate("DV.points.places.length / 2")
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    rows, result = [], {}
    for kind, times in found.items():
        middle, high, most = np.percentile(times, [50, 99, 100])
        result[kind] = {"count": len(times), "median_ms": middle, "p99_ms": high, "max_ms": most}
        goal = f"{GOALS[kind]:.1f} ms" if kind in GOALS else ""
        rows.append([kind, f"{len(times):,}", f"{middle:.1f} ms", f"{high:.1f} ms", f"{most:.0f} ms", goal])
    rows.append(["points", f"{points:,.0f}", "", "", "", "12,000"])
    columns = ["what", "count", "median", "p99", "longest", "goal"]
    content: dict[str, Any] = {**result, "points": points, "exit_code": code}
    finish("explorer_browser", "python -m benchmarks.explorer_browser", content, columns, rows)


def trips(page: Page) -> dict[str, list[float]]:
    """Milliseconds of the round trips while the pointer goes around the plane, and of the answers within them."""
    end = time.monotonic() + 60
    while not page.evaluate("DV.points.edge !== null"):  # Playwright's own way needs `eval`, which the page forbids
        assert time.monotonic() < end
        page.wait_for_timeout(30)
    box = page.locator("#map-plot .over").bounding_box()
    assert box is not None
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.35 * box["height"]
    page.wait_for_timeout(500)  # the digit that is there without any move
    page.evaluate("DV.views.map.stats.trips.length = DV.views.map.stats.answers.length = 0")
    for move in range(MOVES):
        angle = 2 * math.pi * move / MOVES
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
        page.wait_for_timeout(20)
    page.wait_for_timeout(300)
    stats = page.evaluate("DV.views.map.stats")
    return {"round trip": stats["trips"], "answer": stats["answers"]}


def frames(page: Page) -> dict[str, list[float]]:
    """Milliseconds from frame to frame, and of the drawing of all points, while the map is zoomed and moved."""
    between, drawing = page.evaluate(FRAMES, MOVES)
    return {"frame": between, "drawing": drawing}


if __name__ == "__main__":
    main()
