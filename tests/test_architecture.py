"""The house rules of docs/architecture.md, read from the source: who may import whom, sizes, docstrings.

A module imports only from the rows above its own. A new module must be given its place in ROWS below.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import digitvae

SOURCE = Path(digitvae.__file__).parent
MAX_LINES = 400

ROWS: list[list[set[str]]] = [
    # One list for each row, from the top. Sets in a row stand in order: each may import from the sets before it,
    # the rooms in one set know nothing of each other. A package (data, models, ...) is one room.
    [{"errors"}],
    [{"config"}],
    [{"data"}],
    [{"distributions", "networks", "images", "lattice", "augmentation"}, {"structure", "flows"}],
    [{"models"}],
    [{"objective"}],
    [
        {"checkpoint", "optimization", "processes", "machine"},
        {"validation"},
        {"rundir", "reading"},
        {"training", "hub"},
        {"running", "adversarial"},
    ],
    [
        {"latent", "morphometry", "studio", "scanning"},
        {"generation", "handwriting", "styling", "restoration"},
        {"inking", "texts", "sharding"},
        {"sequences"},
    ],
    [{"evaluation"}],
    [{"figures", "export"}, {"report", "equipping", "portable", "doctor", "explorer"}, {"comparison"}],
    [{"terminal", "estimator", "curves"}, {"cli"}, {"__main__"}],
]

PLACES = {room: (row, step) for row, steps in enumerate(ROWS) for step, rooms in enumerate(steps) for room in rooms}

FORBIDDEN = {
    "config": {"torch", "numpy"},
    "data": {"torch"},
    "distributions": {"matplotlib"},
    "networks": {"matplotlib"},
    "models": {"matplotlib", "torch.optim", "safetensors"},
    "objective": {"matplotlib"},
    "training": {"matplotlib"},
    "running": {"matplotlib"},
    "estimator": {"matplotlib"},
    "studio": {"torch"},
    "handwriting": {"torch"},
    "texts": {"torch"},
    "sharding": {"torch"},
    "scanning": {"torch"},
    "sequences": {"torch"},
    "styling": {"torch"},
    "morphometry": {"torch.nn"},
}
"""Other packages that a room must not import (the column "what must not")."""


def room_of(path: Path) -> str:
    """`data` for data/sources.py, `config` for config.py, `__init__` for the package's own front."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(tree: ast.AST) -> set[str]:
    """Full names of all that a module imports, wherever in the file: `from a.b import c` gives a.b.c."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, from digitvae down"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong_imports(room: str, imported: set[str]) -> list[str]:
    """Why the imports of a module in `room` break the house rules, one sentence each."""
    problems = []
    for name in sorted(imported):
        top, _, rest = name.partition(".")
        if any(f"{name}.".startswith(f"{banned}.") for banned in FORBIDDEN.get(room, ())):
            problems.append(f"{room} must not import {name}")
        target = rest.partition(".")[0]
        # `import digitvae` is looked at in test_the_front_is_used_for_the_version_alone.
        if top != "digitvae" or target in ("", "__version__", room):
            continue
        if target not in PLACES:
            problems.append(f"{room} imports digitvae.{target}, which has no place in ROWS of {Path(__file__).name}")
        elif PLACES[target] >= PLACES[room]:
            problems.append(f"{room} (row {PLACES[room][0]}) must not import {target} (row {PLACES[target][0]})")
    return problems


def parsed() -> list:
    return [pytest.param(path, id=str(path.relative_to(SOURCE))) for path in sorted(SOURCE.rglob("*.py"))]


@pytest.mark.parametrize("path", parsed())
def test_modules_import_from_the_rows_above_alone(path):
    room = room_of(path)
    if room == "__init__":
        return  # the front may import anything, lazily: see test_importing_is_light
    assert room in PLACES, f"{path.name} is new: give it a place in ROWS of {Path(__file__).name}"
    assert wrong_imports(room, imports_of(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("models", "from digitvae.objective import elbo_terms"),
        ("checkpoint", "import digitvae.training"),
        ("training", "from digitvae.running import train_run"),
        ("distributions", "from digitvae import networks"),
        ("figures", "def f():\n    from digitvae.report import write_report"),
        ("data", "import torch.nn"),
        ("data", "from torch import Tensor"),
        ("cli", "from digitvae.attic import anything"),
    ],
)
def test_the_checker_sees_what_is_wrong(room, line):
    assert len(wrong_imports(room, imports_of(ast.parse(line)))) == 1


def test_every_place_is_taken():
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")}
    assert set(PLACES) <= rooms, "ROWS names rooms that are gone"


@pytest.mark.parametrize("path", parsed())
def test_the_front_is_used_for_the_version_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "digitvae"
    }
    assert used <= {"__version__"}


def test_importing_is_light():
    """Neither the front, nor the data room, nor the studio imports torch, through anything that they import."""
    code = "import digitvae, digitvae.config, digitvae.data, digitvae.handwriting, digitvae.inking, onnxruntime, sys; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_short():
    files = [p for p in SOURCE.rglob("*") if p.suffix in (".py", ".html", ".css", ".js", ".toml")]
    lines = {str(p.relative_to(SOURCE)): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert len(lines) > 20
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize("path", parsed())
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module has none"
    assert undocumented(tree.body) == []


def undocumented(body: list[ast.stmt]) -> list[str]:
    """Names of public functions, classes and methods without a docstring."""
    missing = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                missing.append(node.name)
            if isinstance(node, ast.ClassDef):
                missing += [f"{node.name}.{name}" for name in undocumented(node.body)]
    return missing
