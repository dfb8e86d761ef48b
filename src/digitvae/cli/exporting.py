"""The command that makes of a trained model what others can run: a model that draws, or ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from digitvae.cli.app import DataDirOption, DataOption, app, load_data, screen
from digitvae.errors import InputError


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or shipped model.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A new model folder that draws.")] = None,
    onnx: Annotated[Path | None, typer.Option(help="A new folder for encoder.onnx and decoder.onnx.")] = None,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="With --onnx: smaller files too, and what they lose.")
    ] = None,
    data: DataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make a trained model one that draws, or one that runs without PyTorch. Needs the extra `onnx`.

    With `-o`: for `generate`, `write` and all commands with `--model`; a model like the recipe studio. Hands are
    learned from the writers of MNIST's training digits (1 MB, found or downloaded).

    With `--onnx`: encoder.onnx (x to loc and log_var) and decoder.onnx (z to mean), for any number of images, held
    against PyTorch on up to 1,000 real validation digits.

    **Examples**

    - `digitvae export runs/mine -o mine/` - of a run of recipe `studio`; then: `digitvae generate --model mine/
      --grid -o digits.png`
    - `digitvae export map --onnx portable/ --quantize int8` - a quarter of the size, with what that costs
    """
    if (out is None) == (onnx is None):
        raise InputError("Say what to make: -o FOLDER for a model that draws, or --onnx FOLDER for ONNX files.")
    if onnx is None and (quantize or data):
        raise InputError("--quantize and --data belong to --onnx; leave them out.")
    if onnx is not None:
        _portable(model, onnx, quantize == "int8", data, data_dir)
    elif out is not None:
        _drawing(model, out, data_dir)


def _drawing(model: str, out: Path, data_dir: Path | None) -> None:
    import shutil

    from digitvae.data.files import folder_aside
    from digitvae.data.sources import load_mnist, load_writers
    from digitvae.equipping import equip
    from digitvae.rundir import find_model

    folder = find_model(model)
    digits, _, _ = load_mnist(data_dir, screen.print)
    writers = load_writers(data_dir, screen.print)
    with folder_aside(out) as aside, screen.status("Exporting") as status:
        for name in ("config.json", "model.safetensors", "README.md"):
            shutil.copy2(folder / name, aside / name)
        equip(aside, digits, writers.train, lambda text: status.update(f"Exporting: {text}"))
    screen.print(f"It can draw: {out}", soft_wrap=True)


def _portable(model: str, out: Path, int8: bool, data: str | None, data_dir: Path | None) -> None:
    from digitvae.checkpoint import load_model
    from digitvae.data.files import folder_aside
    from digitvae.evaluation.files import data_of
    from digitvae.portable import MOST_DIFFERENT, export_portable
    from digitvae.rundir import find_model

    loaded, _ = load_model(find_model(model))
    with folder_aside(out) as aside:
        splits = load_data(data or data_of(model), data_dir, True)
        digits = splits.validation
        with screen.status("Exporting"):
            made = export_portable(aside, loaded, digits, int8, more=splits.train)
    each = ", ".join(f"{name} {difference:.1e}" for name, difference in made.differences.items())
    screen.print(
        f"Largest difference from PyTorch on {made.digits:,} real digits: {each} (allowed: {MOST_DIFFERENT:g}).",
        soft_wrap=True,
    )
    if loaded.encoder is None:
        screen.print("This model has no encoder, its posterior is found by search: decoder.onnx alone.", soft_wrap=True)
    if made.elbo_int8 is not None:
        screen.print(
            f"ELBO on {len(digits):,} validation digits, nats per image (binarization none): {made.elbo:.2f} in "
            f"float32, {made.elbo_int8:.2f} in int8, a change of {made.elbo_int8 - made.elbo:+.2f}.",
            soft_wrap=True,
        )
    screen.print(f"Written: {out} ({', '.join(made.files)})", soft_wrap=True)
