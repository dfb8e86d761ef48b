"""The map in a real browser: from a move of the pointer to the decoded digit, and how long 12,000 points take to draw.

Chromium on this machine, headless, at 1440 x 900, on the shipped model `map` with all validation digits of MNIST. A
round trip is from asking to the digit's being painted, as the page shows it. A frame is the drawing of all points while
the map is zoomed and moved; above 16.7 ms it would miss a screen's rhythm of 60 Hz.

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
            found = {"round trip": trips(page), "frame": frames(page)}
            points = page.evaluate("DV.points.places.length / 2")
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    rows, result = [], {}
    for kind, times in found.items():
        middle, high, most = np.percentile(times, [50, 99, 100])
        result[kind] = {"count": len(times), "median_ms": middle, "p99_ms": high, "max_ms": most}
        goal = f"{GOALS[kind]:.1f} ms"
        rows.append([kind, f"{len(times):,}", f"{middle:.1f} ms", f"{high:.1f} ms", f"{most:.0f} ms", goal])
    rows.append(["points", f"{points:,.0f}", "", "", "", "12,000"])
    columns = ["what", "count", "median", "p99", "longest", "goal"]
    content: dict[str, Any] = {**result, "points": points, "exit_code": code}
    finish("explorer_browser", "python -m benchmarks.explorer_browser", content, columns, rows)


def trips(page: Page) -> list[float]:
    """Milliseconds of the round trips while the pointer goes around the plane."""
    end = time.monotonic() + 60
    while not page.evaluate("DV.points.edge !== null"):  # Playwright's own way needs `eval`, which the page forbids
        assert time.monotonic() < end
        page.wait_for_timeout(30)
    box = page.locator("#map-plot .over").bounding_box()
    assert box is not None
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.35 * box["height"]
    page.evaluate("DV.views.map.stats.trips.length = 0")
    for move in range(MOVES):
        angle = 2 * math.pi * move / MOVES
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
        page.wait_for_timeout(20)
    page.wait_for_timeout(300)
    return list(page.evaluate("DV.views.map.stats.trips"))


def frames(page: Page) -> list[float]:
    """Milliseconds that all points take to be drawn, while the map is zoomed in, moved about and zoomed out."""
    page.evaluate("DV.views.map.plot().frames.length = 0")
    for move in range(MOVES):
        page.evaluate(
            "n => { const plot = DV.views.map.plot(); if (n % 50 < 25) plot.zoom(n < 100 ? 1.02 : 1 / 1.02, 300, 300);"
            " else plot.move(n % 2 ? 12 : -11, 5); }",
            move,
        )
        page.wait_for_timeout(20)
    return list(page.evaluate("DV.views.map.plot().frames"))


if __name__ == "__main__":
    main()
