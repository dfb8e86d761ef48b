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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip installs from a wheel that was built from the source distribution, and nothing else of digitvae."""
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
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, unpacked)
    (wheel,) = folder.glob("digitvae-*.whl")
    assert wheel.stat().st_size < 30e6
    run(*pip, "install", "--no-deps", "--target", folder / "site", wheel)
    return folder / "site"


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
