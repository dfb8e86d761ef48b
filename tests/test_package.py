"""The wheel and the source distribution are whole: what is built from them draws, explores and knows its recipes."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import digitvae

ROOT = Path(__file__).parent.parent


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the source distribution."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    build = "from setuptools import build_meta; build_meta.build_sdist(r'{}')"
    run(sys.executable, "-c", build.format(folder), cwd=source)
    (archive,) = folder.glob("digitvae-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, unpacked)
    (wheel,) = folder.glob("digitvae-*.whl")
    assert wheel.stat().st_size < 30e6
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip installs from it, and nothing else of digitvae."""
    site = tmp_path_factory.mktemp("installed") / "site"
    run(*PIP, "install", "--no-deps", "--target", site, wheel)
    return site


def from_there(installed: Path, tmp_path: Path, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return run(sys.executable, *arguments, cwd=tmp_path, env=environment)


def test_it_is_the_installed_one_that_runs_and_draws(installed, tmp_path):
    where = from_there(installed, tmp_path, "-c", "import digitvae; print(digitvae.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    from_there(
        installed, tmp_path, "-m", "digitvae", "generate", "--digit", "7", "-n", "9", "--grid", "-o", "sevens.png"
    )
    assert (tmp_path / "sevens.png").stat().st_size > 500
    version = from_there(installed, tmp_path, "-m", "digitvae", "--version")
    assert version.split() == ["digitvae", digitvae.__version__]


def test_nothing_of_the_package_is_left_behind(installed):
    """Recipes, weights, pages, templates: every file of the source is in the wheel."""
    source = ROOT / "src" / "digitvae"
    wanted = {p.relative_to(source) for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    there = {p.relative_to(installed / "digitvae") for p in (installed / "digitvae").rglob("*") if p.is_file()}
    assert wanted <= there


@pytest.mark.slow
def test_in_a_bare_environment_pip_brings_all_that_the_command_needs(wheel, tmp_path):
    """Nothing of this environment is seen there. Torch comes first, as the README says: the build that is at hand."""
    run(sys.executable, "-m", "venv", tmp_path / "env")
    programs = tmp_path / "env" / "bin"
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pip = [programs / "python", *PIP[1:], "install", "--quiet"]
    torch = [str(part) for part in (*pip, "torch>=2.9,<2.14")]
    if subprocess.run(torch, env=alone, capture_output=True, check=False).returncode:
        pytest.skip("torch cannot be installed here")
    run(*pip, wheel, env=alone)
    run(programs / "digitvae", "generate", "-n", "9", "--grid", "-o", "nine.png", cwd=tmp_path, env=alone)
    assert (tmp_path / "nine.png").stat().st_size > 500
    run(programs / "digitvae", "doctor", cwd=tmp_path, env=alone)
