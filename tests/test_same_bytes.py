"""Every command that writes gives the same bytes for the same seed; only clocks differ, and they are named here.

What takes minutes is held to it where it is tested small: runs in `test_running`, what `export -o` makes in
`test_equipping`, certificates in `evaluation/test_certificate`, comparisons in `comparison/test_runner`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands import digitvae

pytestmark = pytest.mark.slow  # each command is started twice

COMMANDS = {
    "generate": ["generate", "-n", "30", "--seed", "3", "-o", "out"],
    "shards": ["generate", "-n", "3500", "--shards", "2", "--hands", "7", "--seed", "3", "-o", "out"],
    "write": ["write", "2026-11-23", "7", "--seed", "3", "-o", "out.png", "--boxes", "boxes.json"],
    "outlines": ["write", "42", "-o", "out.svg"],
    "numbers": ["dataset", "numbers", "-n", "12", "--hands", "3", "--effects", "noise,paper", "-o", "out"],
    "edit": ["edit", "in", "--slant", "9", "-o", "out.npz"],
    "interpolate": ["interpolate", "3", "in/7/a.png", "-o", "out.png"],
    "mix": ["mix", "--digit-of", "5", "--style-of", "in/7/a.png", "-o", "out.png"],
    "restore": ["restore", "in/7/a.png", "--mask", "left", "-n", "2", "-o", "out.npz"],
    "score": ["score", "in", "--out", "out.csv"],
    "onnx": ["export", "map", "--onnx", "out", "--data", "mnist-5k"],
    "int8": ["export", "map", "--onnx", "out", "--data", "mnist-5k", "--quantize", "int8"],
    "map": ["explore", "runs/tiny", "--export", "out"],
}
CLOCKS = {"seconds"}
"""What says how long something took."""


@pytest.fixture(scope="module")
def prepared(splits_5k, tmp_path_factory) -> Path:
    """A folder with a picture and a run."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "in" / "7").mkdir(parents=True)
    Image.fromarray(splits_5k.train.images[splits_5k.train.labels == 7][0]).save(folder / "in" / "7" / "a.png")
    small = ["--set", "encoder=[16]", "--set", "decoder=[16]", "--epochs", "1", "--snapshots", "1"]
    done = digitvae("train", "map", "--data", "mnist-5k", *small, "--out", "runs/tiny", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def written(folder: Path) -> dict[str, bytes]:
    found = [
        path for path in folder.rglob("*") if path.is_file() and path.parts[len(folder.parts)] not in ("in", "runs")
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_twice_the_same(command, prepared, tmp_path):
    found = []
    for name in ("one", "two"):
        place = tmp_path / name
        place.mkdir()
        (place / "in").symlink_to(prepared / "in")
        (place / "runs").symlink_to(prepared / "runs")
        done = digitvae(*command, cwd=place)
        assert done.returncode == 0, done.stderr
        found.append(written(place))
    assert found[0].keys() == found[1].keys()
    assert found[0]
    for name in found[0]:
        assert found[0][name] == found[1][name], name


def test_an_evaluation_differs_in_its_clocks_alone(prepared, tmp_path):
    contents = []
    for name in ("one.json", "two.json"):
        options = ["--data", "mnist-5k", "--metrics", "clusters", "--out", str(tmp_path / name)]
        done = digitvae("evaluate", "runs/tiny", *options, cwd=prepared)
        assert done.returncode == 0, done.stderr
        contents.append(json.loads((tmp_path / name).read_text()))
    for content in contents:
        for section in content["sections"].values():
            for clock in CLOCKS:
                assert section.pop(clock) >= 0
        content["machine"].pop("command", None)
    assert contents[0] == contents[1]
    assert np.isfinite(contents[0]["sections"]["map"]["measures"][0]["value"])
