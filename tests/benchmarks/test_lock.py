"""The lock of the tests is whole and keeps to pyproject.toml; what it holds is found by following requirements."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
lock = pytest.importorskip("benchmarks.lock")

HELD = dict(line.split("==") for line in lock.LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


class Package:
    """What is read of an installed package."""

    def __init__(self, version, *requires):
        self.version, self.requires = version, list(requires)


def test_everything_that_is_asked_for_is_held_at_a_version_that_is_allowed():
    asked = [need for need in lock.required(("dev",)) if not lock.FREE.fullmatch(need.name)]
    assert len(asked) > 40
    for need in asked:
        version = HELD.get(canonicalize_name(need.name))
        assert version is not None, f"{need.name} is not in {lock.LOCK.name}: run `make lock`"
        assert version in need.specifier, f"{need.name} {version} is not allowed any more: run `make lock`"


def test_torch_and_digitvae_are_not_held():
    assert not {"torch", "digitvae", "setuptools"} & HELD.keys()


def test_a_line_is_one_exact_version_that_any_machine_can_have():
    for name, version in HELD.items():
        assert name == canonicalize_name(name)
        assert re.fullmatch(r"[\w.]+", version), f"{name} {version}: a build of one machine"


def test_extras_bring_the_extras_within_them():
    names = {need.name for need in lock.required(("dev",))}
    assert {"numpy", "ruff", "pytest", "onnx", "sphinx"} <= names  # of everybody, dev, test, and what test has within
    assert "digitvae" not in names
    assert {need.name for need in lock.required()} < names
    assert "fastapi" not in {need.name for need in lock.required(("hub",))}


def test_what_is_needed_is_followed_with_its_extras_and_markers(monkeypatch):
    there = {
        "a": Package("1.0", "B[fast]>=1", "never; python_version < '3'", "plotting; extra == 'plots'"),
        "b": Package("2.0+cpu", "c; extra == 'fast'", "d; extra == 'slow'", "a"),
        "c": Package("3.0"),
        "torch": Package("2.9"),
        "nvidia-x": Package("12"),
    }
    monkeypatch.setattr(lock, "distribution", there.__getitem__)
    found = lock.installed([Requirement("A"), Requirement("torch"), Requirement("nvidia_x")])
    assert list(found) == ["a", "b", "c", "nvidia-x", "torch"]
    assert lock.constraints(found) == ["a==1.0", "b==2.0", "c==3.0"]


def test_what_is_not_installed_is_named():
    with pytest.raises(SystemExit, match="no-such-package is not installed here"):
        lock.installed([Requirement("no_such_package")])
