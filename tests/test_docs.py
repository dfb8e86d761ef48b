"""The commands that the documentation shows exist, with their options; the reference leaves no module out."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import digitvae
from digitvae.cli import app

ROOT = Path(__file__).parents[1]
SOURCE = Path(digitvae.__file__).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
APP = typer.main.get_command(app)


def whole_commands(text: str) -> list[str]:
    """Command lines in the code blocks of a Markdown page."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if re.match(r"(\.venv/bin/)?digitvae ", line)]


def named_commands(text: str) -> list[str]:
    """Commands that prose names, which may leave out arguments."""
    return [" ".join(found.split()) for found in re.findall(r"(?<!`)`(digitvae [^`]+)`(?!`)", text)]


def parse(line: str, whole: bool) -> None:
    """See that a command has the options of `line` and, where it is `whole`, all that it needs, of the right types."""
    words = shlex.split(line, comments=True)[1:]
    command = APP
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {words[0]}: {line}"
        command, words = command.commands[words[0]], words[1:]
    with command.context_class(command, info_name=command.name) as context:
        command.make_parser(context).parse_args(list(words))
    if whole and words != ["--help"]:
        command.make_context(command.name, list(words))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path):
    text = path.read_text(encoding="utf-8")
    for line in whole_commands(text):
        parse(line, whole=True)
    for line in named_commands(text):
        parse(line, whole=False)


def test_examples_of_the_help_exist():
    helps = [
        APP.help,
        *(c.help for c in APP.commands.values()),
        *(c.help for c in APP.commands["dataset"].commands.values()),
    ]
    lines = [line for text in helps for line in named_commands(text)]
    assert len(lines) > 20
    for line in lines:
        parse(line, whole=True)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("digitvae trian map", "no command trian"),
        ("digitvae train map --epoch 3", "No such option"),
        ("digitvae train map --epochs many", "valid integer"),
        ("digitvae report", "Missing"),
        ("digitvae generate -n", "requires an argument"),
        ("digitvae dataset letters", "no command letters"),
    ],
)
def test_the_checker_sees_what_is_wrong(line, wrong):
    with pytest.raises(Exception, match=wrong):
        parse(line, whole=True)


def test_pages_have_commands():
    """So that the checker is not blind."""
    found = [line for path in PAGES for line in whole_commands(path.read_text(encoding="utf-8"))]
    assert len(found) > 60
    assert {"train", "report", "generate", "certify", "compare", "dataset"} <= {line.split()[1] for line in found}


def test_reference_has_every_module():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    named = re.findall(r"^\.\. automodule:: (\S+)$", pages, re.M)
    modules = {str(path.relative_to(SOURCE.parent).with_suffix("")).replace("/", ".") for path in SOURCE.rglob("*.py")}
    modules = {name.removesuffix(".__init__") for name in modules}
    parts = ("digitvae.cli", "digitvae.__main__")  # commands, not functions
    expected = {name for name in modules if name != "digitvae" and not name.startswith(parts)}
    assert sorted(named) == sorted(expected)


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    """As `make docs` builds it."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(ROOT / "docs"),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()
