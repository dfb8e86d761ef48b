"""Every package that digitvae brings along: its version, its licence as it states it, and what is known against it.

Known vulnerabilities are looked up by pip-audit, in an environment of its own, made in a temporary folder; where it
cannot be installed or cannot reach its database, the table says so.

Usage: python -m benchmarks.licences
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution
from pathlib import Path

from packaging.version import Version

from benchmarks.common import finish
from benchmarks.lock import installed, required

EXTRAS = ("onnx", "hub", "tensorboard", "explorer")
COLUMNS = ["package", "version", "licence", "needed by", "known vulnerabilities"]
LONGEST = 60
"""Characters that are kept of words of a package's own: some put the whole licence there."""


def licence(package: Distribution) -> str:
    """What a package says its licence is: its expression, else its classifiers, else its own words' first line."""
    about = package.metadata
    classifiers = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    named = [name for name in classifiers if name != "OSI Approved"]
    words = (about.get("License") or "").strip().partition("\n")[0]
    shortened = words if len(words) <= LONGEST else f"{words[:LONGEST]} ..."
    return about.get("License-Expression") or ", ".join(named) or shortened or "not stated"


def needed_by() -> dict[str, tuple[Distribution, str]]:
    """Each package of users, and the first of ``every user`` and the extras that brings it."""
    found: dict[str, tuple[Distribution, str]] = {}
    for extra in ("", *EXTRAS):
        for name, package in installed(required((extra,) if extra else ())).items():
            found.setdefault(name, (package, f"extra {extra}" if extra else "every user"))
    return dict(sorted(found.items()))


def audit(versions: dict[str, str]) -> tuple[dict[str, list[str]], str]:
    """The known vulnerabilities of each package that could be looked up, and why not all could, if so."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        listed, program = Path(folder) / "requirements.txt", Path(folder) / "env" / "bin" / "python"
        listed.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "venv", Path(folder) / "env"], check=True)
        install = [program, "-m", "pip", "install", "--quiet", "pip-audit"]
        if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
            return {}, "pip-audit could not be installed"
        command = [program, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format=json"]
        command += ["--progress-spinner=off", "--timeout=15", "--requirement", listed]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return looked_up(done.stdout)


def looked_up(output: str) -> tuple[dict[str, list[str]], str]:
    """What `audit` returns, from what pip-audit printed: a package that it skipped was not looked up."""
    try:
        packages = json.loads(output)["dependencies"]
    except ValueError:
        packages = []
    known = {one["name"]: [found["id"] for found in one["vulns"]] for one in packages if "vulns" in one}
    if not known:
        return {}, "pip-audit's database was out of reach"
    missing = len(packages) - len(known)
    return known, f"{missing} are not in pip-audit's database" if missing else ""


def row(name: str, package: Distribution, by: str, known: list[str] | None) -> list[str]:
    """A row of the table; `known` is None where the package was not looked up."""
    vulnerabilities = "not looked up" if known is None else ", ".join(known) or "none"
    return [name, package.version, licence(package), by, vulnerabilities]


def main() -> None:
    packages = needed_by()
    versions = {name: Version(package.version).public for name, (package, _) in packages.items()}
    known, reason = audit(versions)
    rows = [row(name, package, by, known.get(name)) for name, (package, by) in packages.items()]
    rows.append([f"*{len(rows)} in all*", "", "", "", f"{len(known)} looked up{f': {reason}' if reason else ''}"])
    finish("licences", "python -m benchmarks.licences", {"not_looked_up": reason, "known": known}, COLUMNS, rows)
    if any(known.values()):
        sys.exit("There are known vulnerabilities: see the table.")


if __name__ == "__main__":
    main()
