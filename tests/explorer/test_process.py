"""The command as people start it: ports, Ctrl-C, sentences; and the folder that it exports."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from digitvae.errors import InputError, RunError
from digitvae.explorer.explored import Explored
from digitvae.explorer.exporting import NODES, blended, export_folder
from digitvae.explorer.plane import Plane
from digitvae.explorer.serving import FIRST_PORT, HOST, bound
from digitvae.generation import decode_images


def started(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "digitvae", "explore", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def address_of(process: subprocess.Popen) -> str:
    assert process.stderr is not None
    while line := process.stderr.readline():
        if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
            return found.group()
    raise AssertionError(f"no address: exit code {process.wait()}")


def fetched(url: str, deadline: float = 60) -> bytes:
    end = time.monotonic() + deadline
    while True:
        try:
            with urllib.request.urlopen(url, timeout=deadline) as response:
                return response.read()
        except ConnectionError:
            assert time.monotonic() < end


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("wait", [True, False])
def test_it_starts_says_where_and_stops_at_ctrl_c(run, wait):
    process = started(str(run), "--data", "mnist-5k", "--no-browser", "--port", "0")
    address = address_of(process)
    assert b"digitvae explorer" in fetched(address)
    if wait:
        assert json.loads(fetched(f"{address}api/about"))["name"] == str(run)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors


WAITING = """
import sys, threading, time, types
from digitvae.cli import exploring, main

def waits(*given):
    sys.stdin.read()
    time.sleep(1)  # the server has begun to stop
    return types.SimpleNamespace(stopped=threading.Event())

exploring._load = waits
main()
"""
"""The command with a model that is not loaded before somebody closes the standard input."""

REQUESTS = [
    b"GET /api/about HTTP/1.1\r\nHost: %b\r\n\r\n",
    b"GET /api/write?text=1 HTTP/1.1\r\nHost: %b\r\n\r\n",
    b"POST /api/draw HTTP/1.1\r\nHost: %b\r\nContent-Length: 1\r\n\r\n.",
    b"POST /api/decode HTTP/1.1\r\nHost: %b\r\nContent-Length: 8\r\n\r\n...",  # the rest of it does not come
]
"""Those that wait for the model, for what it draws with, for what judges, and for their own end."""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_while_requests_wait(run):
    command = [sys.executable, "-c", WAITING, "explore", str(run), "--no-browser", "--port", "0"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    address = address_of(process)
    host = address.removeprefix("http://").removesuffix("/")
    with contextlib.ExitStack() as stack:
        waiting = []
        for request in REQUESTS:
            waiting.append(stack.enter_context(socket.create_connection((HOST, int(host.partition(":")[2])), 60)))
            waiting[-1].sendall(request % host.encode())
        assert b"digitvae explorer" in fetched(address)
        process.send_signal(signal.SIGINT)
        answers = [b"".join(iter(lambda one=one: one.recv(4096), b"")) for one in waiting]
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors, "Exception" in errors) == (0, False, False), errors
    assert [answer.split(b"\r\n")[0] for answer in answers] == 4 * [b"HTTP/1.1 503 Service Unavailable"]


def test_a_busy_port_is_one_sentence(run):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        process = started(str(run), "--no-browser", "--port", str(port))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith(f"Error: Port {port} cannot be used")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_its_extra_it_says_what_to_install(run, missing):
    code = f"import sys; sys.modules['{missing}'] = None; from digitvae.cli import main; main()"
    command = [sys.executable, "-c", code, "explore", str(run), "--no-browser"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "digitvae[explorer]" in found.stderr
    assert found.stderr.count("\n") == 1


def test_data_that_cannot_be_read_ends_it_with_one_sentence(run, tmp_path):
    process = started(str(run), "--no-browser", "--port", "0", "--data", str(tmp_path / "none"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Error: " in errors
    assert "Traceback" not in errors


def test_where_no_port_is_named_a_taken_one_is_left_alone():
    first, second = bound(None), bound(None)
    try:
        ports = first.getsockname()[1], second.getsockname()[1]
        assert first.getsockname()[0] == HOST
        assert ports[0] != ports[1]
        assert ports[0] >= FIRST_PORT
        assert first.proto == socket.IPPROTO_TCP  # else asyncio lets small answers wait
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("port", [-1, 70000])
def test_ports_that_are_none(port):
    with pytest.raises(InputError, match="0 to 65535"):
        bound(port)


def test_the_plane_of_many_dimensions_is_a_projection():
    codes = np.random.default_rng(0).normal(size=(200, 6)) * [5, 1, 3, 1, 1, 1]
    plane = Plane(codes)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    assert np.abs(plane.axes[0]).argmax() == 0
    assert np.abs(plane.axes[1]).argmax() == 2
    np.testing.assert_allclose(plane.spread(np.ones((1, 6)))[0], np.eye(2), atol=1e-12)


@pytest.fixture(scope="module")
def exported(run: Path, digits, tmp_path_factory) -> tuple[Explored, Path, object]:
    explored = Explored(str(run), digits, "mnist-5k")
    out = tmp_path_factory.mktemp("exported") / "site"
    return explored, out, export_folder(explored, out)


def content_of(out: Path) -> dict:
    text = (out / "page" / "data.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.DIGITVAE = ").removesuffix(";\n"))


def test_an_exported_folder_holds_what_was_decoded(exported):
    explored, out, _ = exported
    content = content_of(out)
    packed = zlib.decompress(base64.b64decode(content["nodes"]["digits"]))
    nodes = np.frombuffer(packed, np.uint8).reshape(NODES, NODES, 28, 28)
    axis = np.linspace(-content["nodes"]["reach"], content["nodes"]["reach"], NODES)
    for i, j in [(0, 0), (3, 140), (80, 80)]:
        code = torch.tensor([[axis[j], axis[i]]], dtype=torch.float32)
        np.testing.assert_array_equal(nodes[i, j], (decode_images(explored.model, code)[0, 0] * 255).round().byte())
    assert sorted(content["snapshots"]) == ["1", "2", "3"]
    places = np.frombuffer(base64.b64decode(content["places"]), np.float32)
    np.testing.assert_array_equal(places.reshape(-1, 2), explored.places)
    page = (out / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="(page/[^"]+)"', page):
        assert (out / name).is_file()
    assert "source.js" not in page


def test_the_difference_of_blended_digits_is_measured(exported):
    explored, out, difference = exported
    assert difference.sentence() in content_of(out)["about"]["difference"]
    content = content_of(out)["nodes"]
    packed = zlib.decompress(base64.b64decode(content["digits"]))
    nodes = np.frombuffer(packed, np.uint8).reshape(NODES, NODES, 784)
    axis = np.linspace(-content["reach"], content["reach"], NODES)
    np.testing.assert_array_equal(blended(nodes, content["reach"], np.array([[axis[5], axis[9]]]))[0], nodes[9, 5])
    middle = blended(nodes, content["reach"], np.array([[(axis[5] + axis[6]) / 2, axis[9]]]))[0]
    np.testing.assert_allclose(middle, (nodes[9, 5].astype(float) + nodes[9, 6]) / 2, atol=0.51)
    places = np.random.default_rng(1).uniform(-content["reach"], content["reach"], (500, 2))
    true = explored.decode(places).reshape(-1, 784).astype(float)
    apart = np.abs(blended(nodes, content["reach"], places) - true)
    assert apart.mean() == pytest.approx(difference.mean, rel=0.2)
    assert apart.max() <= 1.5 * difference.largest + 1


def test_an_export_replaces_nothing(exported, run, digits):
    explored, out, _ = exported
    with pytest.raises(RunError, match="already exists"):
        export_folder(explored, out)


def test_an_export_of_a_studio_is_refused(digits, tmp_path):
    with pytest.raises(InputError, match="told the digit"):
        export_folder(Explored("studio", digits), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_and_port_together_are_refused(run, tmp_path):
    process = started(str(run), "--export", str(tmp_path / "out"), "--port", "8000")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "leave out --port" in errors
