"""The doctor finds what is wrong, and nothing where all is well."""

import importlib.metadata
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.commands import digitvae

from digitvae import doctor, objective
from digitvae.distributions import StandardNormal
from digitvae.doctor import diagnose


def states(*arguments):
    return {finding.name: finding for finding in diagnose(*arguments)}


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No MNIST on this machine."""
    monkeypatch.delenv("DIGITVAE_DATA", raising=False)
    monkeypatch.setenv("DIGITVAE_CACHE", str(tmp_path / "cache"))


def test_a_sound_installation(tmp_path):
    done = digitvae("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "This installation is sound." in done.stderr
    assert "broken" not in done.stderr
    for name in ("device", "threads", "MNIST", "model exact", "model map", "model studio", "drawing", "rate", "bounds"):
        assert f"  {name}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_data_is_noted_and_never_downloaded(nowhere, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("nothing is to be downloaded")

    monkeypatch.setattr("pooch.HTTPDownloader", refuse)
    found = states()
    assert found["MNIST"].state == "note"
    assert "not on this machine" in found["MNIST"].found
    assert {f.state for f in found.values()} <= {"good", "note"}


def test_damaged_weights_and_false_data(nowhere, monkeypatch, tmp_path):
    place = tmp_path / "pretrained"
    shutil.copytree(doctor.PRETRAINED, place)
    weights = bytearray((place / "map" / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (place / "map" / "model.safetensors").write_bytes(weights)
    (place / "exact" / "model.safetensors").unlink()
    monkeypatch.setattr(doctor, "PRETRAINED", place)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 5]))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, *[0, 0, 0, 1] * 3, 5]))
    found = states(tmp_path)
    assert "does not match its checksum" in found["model map"].found
    assert "is missing" in found["model exact"].found
    assert "another SHA-256" in found["MNIST"].found
    broken = [finding for finding in found.values() if finding.state == "broken"]
    assert {finding.name for finding in broken} == {"model map", "model exact", "MNIST", "rate", "bounds"}
    assert all(finding.advice for finding in broken)


def test_wrong_mathematics(nowhere, monkeypatch):
    right = StandardNormal.rate_per_dimension
    monkeypatch.setattr(StandardNormal, "rate_per_dimension", lambda *a: 1.01 * right(*a))
    monkeypatch.setattr(objective, "log_prob_quadrature", lambda *a: torch.full((2, 32), np.nan))
    found = states()
    assert found["rate"].state == "broken"
    assert found["bounds"].state == "broken"
    assert found["drawing"].state == "good"


def test_versions_out_of_bounds(monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "rstr":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.1.0+cpu" if name == "torch" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    finding = next(diagnose())
    assert (finding.name, finding.state) == ("versions", "broken")
    assert "torch 2.1.0+cpu is not " in finding.found
    assert "rstr is missing" in finding.found
    assert finding.advice == doctor.INSTALL


WITHOUT_TORCH = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hidden())
from digitvae.cli import main
main()
"""


def test_without_torch_it_says_so_and_looks_at_the_rest(tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, "doctor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "broken  device: not checked: No module named 'torch'" in done.stderr
    assert "good    mnist-5k: 5,000 digits" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_exit_code_is_1_where_something_is_broken(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"no digits")
    done = digitvae("doctor", "--data-dir", tmp_path)
    assert done.returncode == 1
    assert "1 of these are broken." in done.stderr
    assert "Remove that file" in done.stderr
