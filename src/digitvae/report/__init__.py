"""The report of a run: one self-contained HTML page, made from the run directory and its digits alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from digitvae.data import Splits
from digitvae.errors import RunError
from digitvae.report.page import Made, make_page
from digitvae.rundir import RunDirectory, write_aside

__all__ = ["write_report"]


def write_report(run: RunDirectory, splits: Splits, notify: Callable[[str], None] | None = None) -> Path:
    """Write ``report.html`` of a run, the figures of each snapshot beside its weights, and ``training.gif``.

    The test set is not read. The same run gives the same bytes.

    Args:
        run: The run directory.
        splits: The digits that the run was trained on.
        notify: Told what is being done.

    Returns:
        The path of the report.

    Raises:
        RunError: If the run has no snapshot yet, or its files are missing, damaged or cannot be written.
    """
    with _one_thread():
        made = make_page(run, splits, notify or (lambda text: None))
    _write_figures(run, made)
    write_aside(run.report_file, render(made))
    return run.report_file


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums are then always added in the same order; and with work as small as this, more threads mostly wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def render(made: Made) -> str:
    """The page as HTML, with its style and script inside."""
    here = resources.files("digitvae.report")
    environment = Environment(
        loader=PackageLoader("digitvae.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    style, script = (Markup((here / name).read_text(encoding="utf-8").strip()) for name in ("style.css", "script.js"))
    return environment.get_template("template.html").render(page=made.page, style=style, script=script)


def _write_figures(run: RunDirectory, made: Made) -> None:
    for epoch, files in made.files.items():
        for name, content in files.items():
            _write_bytes(run.snapshot(epoch) / name, content)
    if made.animation is not None:
        _write_bytes(run.path / "snapshots" / "training.gif", made.animation)


def _write_bytes(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".part")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error
