"""The command that says whether generated digits help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from digitvae.cli.app import DataDirOption, DataOption, NoFallbackOption, app, load_data, screen
from digitvae.cli.inputs import say
from digitvae.errors import InputError


@app.command()
def certify(
    digits: Annotated[Path, typer.Argument(help="Generated, labelled digits: class folders, .npz, IDX or Parquet.")],
    real: Annotated[str, typer.Option(help="Real labels per class, comma-separated.")] = "10,100,1000",
    seeds: Annotated[int, typer.Option(help="How often each reader is trained; two or more.")] = 5,
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; NAME-certificate.json here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Do generated digits help to read real ones? Readers trained with and without them, and the copy audit.

    A fixed reader is trained on a few real digits alone, on the generated ones alone, and on both; the table has the
    share of real digits that it reads. Exit code 1 where the digits are copies of real ones.

    With mnist-5k the audit finds copies, but cannot rule them out: others of MNIST may have been copied.

    **Examples**

    - `digitvae certify digits/` - pictures in a folder for each class
    - `digitvae certify digits.npz --real 10,30 --seeds 3 --data mnist-5k --out quick.json` - a first look
    """
    from digitvae.data import load_digits
    from digitvae.data.files import refuse_existing, write_aside
    from digitvae.evaluation.certificate import certify as certified
    from digitvae.evaluation.certificate import check_generated
    from digitvae.terminal import certificate_tables, counting

    sizes = _sizes(real)
    path = out or Path(f"{digits.stem if digits.is_file() else digits.resolve().name}-certificate.json")
    refuse_existing(path, overwrite)
    with screen.status("Reading digits"):
        generated, _ = load_digits(digits, say)
    check_generated(generated, str(digits))
    splits = load_data(data or "mnist", data_dir, not no_fallback)
    with counting(screen) as notify:
        content = certified(generated, splits, str(digits), sizes, seeds, notify)
    for table in certificate_tables(content):  # first, so that they are seen even where the file cannot be written
        screen.print(table)
    for note in content["notes"]:
        say(note)
    written = (json.dumps(content, indent=2) + "\n").encode()
    write_aside(path, lambda file: file.write(written), overwrite)
    say(f"Written: {path}")
    verdict = content["copy_audit"]
    why = "; ".join(verdict["why"])
    if verdict["passed"] is None:
        say(f"The copy audit is not decided: {why}.")
    elif verdict["passed"]:
        say("The copy audit passed.")
    else:
        screen.print(f"The copy audit FAILED: {why}.", style="bold red", soft_wrap=True, markup=False)
        raise typer.Exit(1)


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"'{text}' is no list of real labels per class; write it as 10,100,1000.") from error
