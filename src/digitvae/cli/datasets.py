"""Commands that make whole sets of labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress

from digitvae.cli.app import app, screen, together
from digitvae.cli.drawing import ModelOption, OverwriteOption, SeedOption, TemperatureOption
from digitvae.cli.inputs import say
from digitvae.studio import TEMPERATURE

if TYPE_CHECKING:
    from digitvae.data.samples import Tally
    from digitvae.sequences import NumberSet

dataset = typer.Typer(no_args_is_help=True, help="Make sets of labelled pictures to train and test readers with.")
app.add_typer(dataset, name="dataset")

HANDS = 200
"""Hands that write a set of that many numbers or more."""


@dataset.command()
def numbers(
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder.")],
    count: Annotated[int, typer.Option("-n", "--count", help="How many numbers, one in each picture.")] = 1000,
    pattern: Annotated[
        str, typer.Option(help="zip, amount, date, phone, or a regular expression that texts match.")
    ] = "zip",
    hands: Annotated[
        int | None, typer.Option(help=f"Hands, which take turns; {HANDS}, or one for each number, where left out.")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="png, tesstrain, paddleocr, easyocr, yolo or parquet.")] = "png",
    effects: Annotated[
        str, typer.Option(help="What a scanner adds, comma-separated: rotation, paper, blur, noise.")
    ] = "",
    height: Annotated[int, typer.Option(help="Of a digit, in pixels.")] = 48,
    ink: Annotated[str, typer.Option(help="Colour of the ink: a name such as navy, or #rrggbb.")] = "#000000",
    paper: Annotated[str, typer.Option(help="Colour of the paper.")] = "#ffffff",
    seed: SeedOption = 0,
    temperature: TemperatureOption = TEMPERATURE,
    model: ModelOption = "studio",
    verify: Annotated[
        bool, typer.Option("--verify", help="Then read all back from the disk, every digit with a reader.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write labelled numbers in many hands, split by hand into train, validation and test.

    **Examples**

    - `digitvae dataset numbers -n 10000 --pattern amount -o amounts` - amounts of money
    - `digitvae dataset numbers --pattern "[1-9][0-9]{7}" --hands 50 --format yolo -o eights --verify` - texts that
      match, with a box around each digit, read again by the frozen reader
    - `digitvae dataset numbers --pattern date --format parquet --effects rotation,paper,blur,noise -o dates` -
      dates as a camera sees them
    """
    from digitvae.sequences import NumberSet, write_numbers

    wanted = NumberSet(
        count,
        pattern,
        max(1, min(HANDS, count)) if hands is None else hands,
        seed,
        height,
        temperature,
        model,
        tuple(effect.strip() for effect in effects.split(",") if effect.strip()),
        ink,
        paper,
    )
    with together() as team:
        with _bar() as bar:
            task = bar.add_task("Writing", total=count)
            tally = write_numbers(wanted, out, kind, overwrite, lambda done: bar.update(task, completed=done), team)
        if team.leads:
            _tell(wanted, tally, out)
            if verify:
                _verify(out, kind, count)


def _tell(wanted: NumberSet, tally: Tally, out: Path) -> None:
    parts = ", ".join(f"{lines:,} {split}" for split, lines in tally.lines.items() if lines)
    say(f"{wanted.count:,} numbers ({parts}): {out}")
    if wanted.hands < 3:
        say("With fewer than three hands, all numbers are for training.")


def _verify(out: Path, kind: str, count: int) -> None:
    from digitvae.evaluation.sequences import verify

    with _bar() as bar:
        task = bar.add_task("Reading", total=count)
        found = verify(out, kind, lambda done: bar.update(task, completed=done))
    say(
        f"Read back: files, texts and boxes of {found.lines:,} numbers agree. A reader reads {100 * found.share:.2f} % "
        f"of {found.digits:,} digits as their label ({found.unfit:,} were too faint or broken to be cut out)."
    )


def _bar() -> Progress:
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
