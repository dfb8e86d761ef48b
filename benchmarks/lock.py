"""Write down the versions that the tests have passed with: ``tests/constraints.txt``, which `make test` installs by.

Left out are torch and what its CUDA builds bring (which build is wanted differs from machine to machine), digitvae
itself and setuptools. Constraints only bind what is installed anyway, so those for packages that another Python does
not need do no harm there.

Usage: python -m benchmarks.lock
"""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "tests" / "constraints.txt"
FREE = re.compile(r"torch|triton|nvidia-.*|cuda-.*|setuptools")
"""Names of packages that are not held."""


def project() -> dict:
    """What ``pyproject.toml`` says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def required(extras: tuple[str, ...] = ()) -> list[Requirement]:
    """The requirements of ``pyproject.toml``: those of every user, and those of some extras with the extras within."""
    described, seen = project(), set()
    lines, waiting = list(described["dependencies"]), list(extras)
    while waiting:
        extra = waiting.pop()
        if extra not in seen:
            seen.add(extra)
            lines += described["optional-dependencies"][extra]
            waiting += [within for line in lines if _own(line) for within in Requirement(line).extras]
    return [Requirement(line) for line in dict.fromkeys(lines) if not _own(line)]


def installed(requirements: list[Requirement]) -> dict[str, Distribution]:
    """What these requirements need, and what that needs, and so on, on this Python and system; by name, sorted."""
    waiting, seen, found = list(requirements), set(), {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = _there(name)
            needs = map(Requirement, found[name].requires or ())
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return dict(sorted(found.items()))


def constraints(packages: dict[str, Distribution]) -> list[str]:
    """A line for each package that is held; without the part of a version that names a build."""
    return [f"{name}=={Version(at.version).public}" for name, at in packages.items() if not FREE.fullmatch(name)]


def _own(line: str) -> bool:
    return Requirement(line).name == "digitvae"


def _there(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed here: run `make test` first.")


def main() -> None:
    lines = constraints(installed(required(("dev",))))
    python = ".".join(platform.python_version_tuple()[:2])
    head = f"# What the tests last passed with, on Python {python}. Written by `make lock`; CONTRIBUTING.md says when."
    LOCK.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    print(f"{LOCK.relative_to(ROOT)}: {len(lines)} packages")


if __name__ == "__main__":
    main()
