"""What all commands share: the application itself, the screen, options that several have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from digitvae import __version__
from digitvae.errors import InputError
from digitvae.processes import Team, joined

if TYPE_CHECKING:
    from digitvae.data import Splits

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Variational autoencoders for handwritten digits: train one, see what it learned, generate and measure.

**Examples**

- `digitvae demo` - train the default recipe on the digits that come with the package, and write a report
- `digitvae train map --epochs 50 --out runs/mine` - train on MNIST (found, or downloaded once)
- `digitvae train --data my_digits/ --set latent_dim=3` - your own images, other settings
- `digitvae train --out runs/mine --resume` - go on after a stop
- `digitvae report runs/mine` - write the report of a run anew
- `digitvae generate --digit 7 -n 64 --grid -o sevens.png` - draw digits, with no training
- `digitvae write "2026-11-23" --hand 42 -o note.png` - a number as one person writes it
- `digitvae explore runs/mine` - see it and touch it in the browser
- `digitvae dataset numbers -n 10000 --pattern amount -o amounts/` - labelled numbers for a reader
""",
)
screen = Console(stderr=True, highlight=False)

TOGETHER = ("train", "generate", "dataset", "evaluate")
"""Commands that torchrun may start several processes of."""

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="mnist, mnist-5k (comes with the package), or a path: .npz, IDX, Parquet, folder."),
]
DataDirOption = Annotated[Path | None, typer.Option(help="Folder with the four MNIST files.")]
NoFallbackOption = Annotated[
    bool, typer.Option("--no-fallback", help="Fail where MNIST cannot be had, rather than use mnist-5k.")
]


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if context.invoked_subcommand not in (None, *TOGETHER) and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"digitvae {context.invoked_subcommand} is for one process: start it without torchrun. Several processes "
            f"can work together at: {', '.join(TOGETHER)}."
        )
    if version:
        print(f"digitvae {__version__}")
        raise typer.Exit()


def load_data(name: str, data_dir: Path | None, fallback: bool) -> Splits:
    """The digits that an option names, with notes of where they come from on the screen."""
    from digitvae.data import load_splits

    return load_splits(name, data_dir=data_dir, fallback=fallback, notify=screen.print)


@contextlib.contextmanager
def together() -> Iterator[Team]:
    """The processes that torchrun started, or this one alone; one of them speaks, until something goes wrong."""
    with joined() as team:
        screen.quiet = not team.leads
        try:
            yield team
        finally:
            screen.quiet = False
