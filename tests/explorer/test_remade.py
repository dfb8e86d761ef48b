"""The command and the Python that the page shows, run, make the picture that it shows."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # each starts the command and Python anew


def ran(command: str, folder: Path) -> None:
    """Run a shown command in a shell where `digitvae` is this one."""
    (folder / "bin").mkdir(exist_ok=True)
    script = folder / "bin" / "digitvae"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m digitvae "$@"\n')
    script.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def computed(python: str, name: str, folder: Path) -> np.ndarray:
    """What a name is after the shown Python has run, as grey levels."""
    code = f"{python}\nimport numpy\nnumpy.save('found.npy', numpy.asarray({name}))\n"
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    values = np.load(folder / "found.npy")
    return values if values.dtype == np.uint8 else np.rint(values * 255).astype(np.uint8)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal but for rounding: at most one grey level apart."""
    return bool(np.abs(a.astype(int) - b.astype(int)).max() <= 1)


def test_a_map_point_can_be_made_again(opened, tmp_path) -> None:
    page = opened("#map?at=0.8,-0.6")
    page.ready()
    page.until("document.getElementById('probe-again').made")
    shown = page.digit("probe")
    ran(page.copied("probe-again", "command") + " --size 28", tmp_path)
    assert same(np.asarray(Image.open(tmp_path / "digit.png")), shown)
    assert same(computed(page.copied("probe-again", "python"), "digit", tmp_path)[0, 0], shown)


def test_an_interpolation_can_be_made_again(opened, tmp_path) -> None:
    page = opened("#map?line=-1.2,0.5;1.4,1.1&beyond=0.5")
    page.ready()
    page.until("document.getElementById('line-again').made")
    shown = page.strip()
    ran(page.copied("line-again", "command") + " --size 28", tmp_path)
    sheet = np.asarray(Image.open(tmp_path / "way.png"))
    gap = (sheet.shape[1] - 28 * 11) // 10
    found = np.stack([sheet[:, n * (28 + gap) : n * (28 + gap) + 28] for n in range(11)])
    assert same(found, shown)
    assert same(computed(page.copied("line-again", "python"), "digits", tmp_path)[:, 0], shown)


def test_a_written_number_can_be_made_again(opened, tmp_path) -> None:
    page = opened("#write?text=-1,024.50&hand=7&seed=2&ink=%23203080")
    page.until("document.getElementById('write-again').made")
    shown = page.evaluate(
        "DV.source.line({text: '-1,024.50', hand: 7, seed: 2, ink: '#203080'}).then(b => b.arrayBuffer())"
        ".then(b => DV.base64(new Uint8Array(b)))"
    )
    ran(page.copied("write-again", "command"), tmp_path)
    assert (tmp_path / "note.png").read_bytes() == base64.b64decode(shown)
    python = page.copied("write-again", "python") + "\nimport numpy as np\ncontent = np.frombuffer(content, np.uint8)"
    assert computed(python, "content", tmp_path).tobytes() == base64.b64decode(shown)


@pytest.mark.parametrize(
    "state",
    [
        "digit=7&hand=42&slant=20&width=16",
        "digit=3&hand=5",
        "digit=5&hand=9&thickness=4&rest=0,1.5",
    ],
)
def test_an_edit_can_be_made_again(opened, tmp_path, state: str) -> None:
    page = opened(f"#style?{state}")
    page.until("document.getElementById('style-again').made")
    shown = page.digit("style-after")
    ran(page.copied("style-again", "command"), tmp_path)
    assert same(np.asarray(Image.open(tmp_path / "styled.png")), shown)
    assert same(computed(page.copied("style-again", "python"), "digit", tmp_path)[0], shown)


def test_the_digit_of_one_in_the_style_of_a_drawing_can_be_made_again(opened, tmp_path) -> None:
    page = opened("#draw")
    page.drawn()
    with page.expect_download() as picture:
        page.locator("#save-digit").click()
    picture.value.save_as(tmp_path / "digit.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "digit.png").convert("L")), page.digit("fitted"))
    page.locator("#tab-style").click()
    page.until("document.getElementById('style-again').made")
    page.get_by_role("button", name="My drawing").click()
    page.has("image=")
    page.reload()  # whoever is sent the address has the drawing too
    page.until("document.getElementById('style-again').made")
    with page.expect_download() as sent:
        page.locator("#style-save").click()
    sent.value.save_as(tmp_path / "sent.png")
    assert same(np.asarray(Image.open(tmp_path / "sent.png")), np.asarray(Image.open(tmp_path / "digit.png")))
    page.locator("#style-row button").nth(4).click()
    page.has("digit=4")
    page.locator("#knob-slant").fill("-12")
    page.until("document.getElementById('style-again').made?.command.includes('--slant -12')")
    shown = page.digit("style-after")
    ran(page.copied("style-again", "command"), tmp_path)
    assert same(np.asarray(Image.open(tmp_path / "styled.png")), shown)
    assert same(computed(page.copied("style-again", "python"), "digit", tmp_path)[0], shown)


def test_a_score_and_a_hand_can_be_made_again(opened, explored, tmp_path) -> None:
    page = opened("#draw")
    page.drawn()
    with page.expect_download() as picture:
        page.locator("#save-digit").click()
    picture.value.save_as(tmp_path / "digit.png")
    shown = page.digit("reconstruction")
    ran(page.copied("draw-again", "command") + " --out scores.csv", tmp_path)
    found = (tmp_path / "scores.csv").read_text().splitlines()[1].split(",")
    said = page.locator("#score").text_content().replace("−", "-")
    assert f"{float(found[1]):.1f} nats" in said
    percent = float(re.search(r"([\d.]+) % of", said)[1])
    assert percent == pytest.approx(float(found[2]), abs=5)  # among the 300 digits there, and all 800 here
    python = page.copied("draw-again", "python")
    python += "\nimport json\nfound = [float(scores.log_prob[0]), float(scores.percentile[0]), nearest.shape[1]]"
    python += "\nwith open('found.json', 'w') as file: json.dump(found, file)"
    assert same(computed(python, "reconstruction", tmp_path)[0, 0], shown)
    told = json.loads((tmp_path / "found.json").read_text())
    assert told == pytest.approx([float(found[1]), float(found[2]), 6], abs=0.2)
    ran(page.copied("hand-again", "command"), tmp_path)
    ten = computed(page.copied("hand-again", "python"), "digits", tmp_path)
    text = page.evaluate("DV.base64(document.querySelector('#same-hand canvas').grey[0])")
    hand = np.frombuffer(base64.b64decode(text), np.uint8).reshape(10, 28, 28)
    assert same(np.delete(ten, 1, 0), np.delete(hand, 1, 0))
    commanded = np.stack([np.asarray(Image.open(tmp_path / f"hand-{digit}.png")) for digit in range(10)])
    assert same(np.delete(commanded, 1, 0), np.delete(hand, 1, 0))


def test_the_film_and_the_map_can_be_made_again(opened, explored, tmp_path) -> None:
    page = opened("#film?epoch=2")
    page.until("document.getElementById('film-again').made")
    python = page.copied("film-again", "python")
    assert f"snapshot({2})" in python
    assert page.copied("film-again", "command").startswith("digitvae report ")
    page.locator("#tab-map").click()
    page.ready()
    assert "--export" in page.copied("map-again", "command")
    # The plane of the two principal components of two dimensions is the plane itself.
    for made in ("map()", "film(2)"):
        python = page.evaluate(f"() => {{ DV.about.principal = true; return DV.again.{made}.python; }}")
        python += "\nimport numpy\nfits = numpy.uint8(len(places) == len(digits) and numpy.allclose(places, codes))"
        assert computed(python, "fits", tmp_path) == 1
    page.locator("#map-again").get_by_role("button", name="Show").click()
    assert "encode_images" in page.locator("#map-again pre").text_content()
