"""Do the tests pass with the oldest and with the newest dependencies that ``pyproject.toml`` allows?

Each set is installed in an environment of its own, made in a temporary folder, and the quick tests are run there. Torch
is held at the build that is installed here. A Python that is not on this machine, or has no such build of torch within
reach, is not run; the table says so. What an earlier call measured is kept until it is measured again.

With the oldest set, deprecations are not errors: old packages use what newer ones beneath them advise against.

Usage: python -m benchmarks.dependencies [--only oldest|newest] [TESTS ...], all quick tests where left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from packaging.requirements import Requirement

from benchmarks.common import RESULTS, finish
from benchmarks.lock import ROOT, required

PYTHONS = ("3.11", "3.12", "3.13")
SETS = ("oldest", "newest")
COLUMNS = ["Python", "dependencies", "tests", "passed", "failed", "skipped", "time", "on"]
DEPRECATIONS = ("-W", "default::DeprecationWarning")


def oldest(requirement: Requirement) -> str:
    """The requirement with its lower bound alone, as the one version."""
    (bound,) = (at.version for at in requirement.specifier if at.operator == ">=")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={bound}"


def wanted(kind: str) -> list[str]:
    """What is installed for a set, beside torch."""
    needs = [need for need in required(("test",)) if need.name != "torch"]
    return [oldest(need) if kind == "oldest" else str(need) for need in needs]


def counts(report: str) -> dict[str, Any]:
    """What a JUnit report says: how many tests passed, failed and were skipped, and which failed."""
    suite = next(ElementTree.fromstring(report).iter("testsuite"))
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    return {"passed": tests - skipped - len(failed), "failed": len(failed), "skipped": skipped, "failures": failed}


def row(python: str, kind: str, found: dict[str, Any]) -> list[str]:
    """A row of the table."""
    if "not_run" in found:
        return [python, kind, f"not run: {found['not_run']}", "", "", "", "", found["date"]]
    tests = " ".join(found["tests"]) or "all quick ones"
    numbers = [f"{found[name]:,}" for name in ("passed", "failed", "skipped")]
    return [python, kind, tests, *numbers, f"{found['seconds']:.0f} s", found["date"]]


def reason_not_to_run(python: str) -> str:
    """Why this Python cannot be run here; nothing where it can."""
    program = shutil.which(f"python{python}")
    if program is None or subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode:
        return "it is not on this machine"
    dry = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--report=-", "--quiet"]
    there = pip(program, *dry, torch_held())
    at_hand = [one["metadata"]["version"] for one in json.loads(there.stdout)["install"]] if there.stdout else []
    return "" if at_hand == [torch.__version__] else f"torch {torch.__version__} is not at hand for it"


def torch_held() -> str:
    return f"torch=={torch.__version__.partition('+')[0]}"


def measure(python: str, kind: str, tests: list[str]) -> dict[str, Any]:
    """Install a set, run the tests, count."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "env" / "bin" / "python")
        subprocess.run([f"python{python}", "-m", "venv", Path(folder) / "env"], check=True)
        pip(program, "install", "--quiet", "--upgrade", "pip")
        for arguments in ([torch_held()], [torch_held(), *wanted(kind)], ["--no-deps", "--editable", str(ROOT)]):
            done = pip(program, "install", "--quiet", *arguments)
            if done.returncode:
                why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                sys.exit("\n".join([f"The {kind} dependencies cannot be installed.", *why]))
        versions = pip(program, "list", "--format=json").stdout
        report = Path(folder) / "report.xml"
        quick = ["-q", "-n", "logical", "-m", "not slow", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        began = time.perf_counter()
        tolerant = DEPRECATIONS if kind == "oldest" else ()
        subprocess.run([program, "-m", "pytest", *quick, *tolerant, *tests], cwd=ROOT, env=environment, check=False)
        seconds = time.perf_counter() - began
        return {
            **counts(report.read_text(encoding="utf-8")),
            "seconds": seconds,
            "versions": {one["name"]: one["version"] for one in json.loads(versions)},
        }


def pip(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program, "-m", "pip", "--disable-pip-version-check", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def before() -> dict[str, Any]:
    """What earlier calls found."""
    kept = RESULTS / "dependencies.json"
    return json.loads(kept.read_text(encoding="utf-8"))["found"] if kept.is_file() else {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dependencies")
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("tests", nargs="*", metavar="TESTS")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    today = {"date": datetime.now(UTC).date().isoformat()}
    for python in PYTHONS:
        reason = reason_not_to_run(python)
        for kind in SETS:
            if reason:
                found[f"{python} {kind}"] = {**today, "not_run": reason}
            elif asked.only in (None, kind):
                found[f"{python} {kind}"] = {**today, "tests": asked.tests, **measure(python, kind, asked.tests)}
    earlier = before()  # read late: another call may have written by now
    for name in (f"{python} {kind}" for python in PYTHONS for kind in SETS):
        found.setdefault(name, earlier.get(name, {**today, "not_run": "not yet"}))
    rows = [row(python, kind, found[f"{python} {kind}"]) for python in PYTHONS for kind in SETS]
    finish("dependencies", "python -m benchmarks.dependencies", {"found": found}, COLUMNS, rows)
    if any(one.get("failed") for one in found.values()):
        sys.exit("Some tests failed: see benchmarks/results/dependencies.json.")


if __name__ == "__main__":
    main()
