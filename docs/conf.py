"""How the documentation site is built: `make docs`. Warnings are errors there."""

from collections.abc import Iterator
from typing import Any

import typer.main
from docutils.nodes import Node, SkipNode, math, math_block
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

import digitvae
from digitvae.cli import app as command_line

project = "digitvae"
author = "the digitvae authors"
version = release = digitvae.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

html_theme = "furo"
html_title = f"digitvae {digitvae.__version__}"
html_show_copyright = False
html_math_renderer = "mathml"
smartquotes = False  # they would make one dash of the two of an option

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings are in Google's style and put code between single backticks, as Markdown does.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

_kept: dict[str, list[str]] = {}


def keep_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Before napoleon reads the docstring of a constant: it would take what stands before a colon for a type."""
    if what in ("data", "attribute"):
        _kept[name] = list(lines)


def restore_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """After it."""
    if name in _kept:
        lines[:] = _kept.pop(name)


def visit_math(translator: HTML5Translator, node: math) -> None:
    """Equations as MathML, which browsers draw themselves: no script, and nothing fetched from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise SkipNode  # its text is written


def visit_math_block(translator: HTML5Translator, node: math_block) -> None:
    """The same for equations that stand alone."""
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    raise SkipNode


class Commands(SphinxDirective):
    """All commands with their arguments and options, as ``--help`` has them."""

    def run(self) -> list[Node]:
        """See `docutils.parsers.rst.Directive`."""
        parts = _described("digitvae", typer.main.get_command(command_line))
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def _described(name: str, command: Any) -> Iterator[str]:
    """Markdown on a command, or on all commands of a group."""
    if hasattr(command, "commands"):
        for below, each in sorted(command.commands.items()):
            yield from _described(f"{name} {below}", each)
        return
    yield f"## {name}\n\n{command.help}\n\n| | what | default |\n| --- | --- | --- |"
    for each in command.params:
        names = ", ".join(f"`{one}`" for one in each.opts) if each.param_type_name == "option" else each.name.upper()
        default = "(needed)" if each.required else "" if each.default in (None, False) else f"`{each.default}`"
        yield f"| {names} | {each.help} | {default} |"
    yield ""


def setup(app: Sphinx) -> None:
    """Add these to Sphinx."""
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", keep_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
