"""Commands that change digits: edit, interpolate, mix, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.progress import track

from digitvae.cli.app import app, screen
from digitvae.cli.drawing import (
    ModelOption,
    OverwriteOption,
    Reached,
    SeedOption,
    SlantOption,
    ThicknessOption,
    WidthOption,
)
from digitvae.cli.inputs import is_there, named_digits, say
from digitvae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from digitvae.models.vae import VAE
    from digitvae.studio import Studio

Array = npt.NDArray[Any]

DigitOption = Annotated[int | None, typer.Option(help="What the images show; a reader finds it where left out.")]
PictureOption = Annotated[
    Path, typer.Option("-o", "--out", help="A .png for one picture of all; a folder, .npz or .parquet.")
]
SizeOption = Annotated[int, typer.Option(help="Height and width of each digit in the picture, in pixels.")]

SIDES = {
    "top": np.s_[:14, :],
    "bottom": np.s_[14:, :],
    "left": np.s_[:, :14],
    "right": np.s_[:, 14:],
}
"""Halves of an image that a mask may name."""


@app.command()
def edit(
    images: Annotated[Path, typer.Argument(help="A picture, a folder of them, .npz, IDX or Parquet.")],
    out: PictureOption,
    slant: SlantOption = None,
    thickness: ThicknessOption = None,
    width: WidthOption = None,
    digit: DigitOption = None,
    size: SizeOption = 112,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Set slant (degrees), thickness and width (pixels of 28) of digits; what they are stays.

    **Examples**

    - `digitvae edit seven.png --slant 15 -o leaning.png` - one picture
    - `digitvae edit digits/ --thickness 3.2 --width 18 -o bold.npz` - a set
    """
    from digitvae.data.files import refuse_existing
    from digitvae.studio import CHUNK, Studio
    from digitvae.styling import Knobs, check_knobs, edit_images

    refuse_existing(out, overwrite)
    given = {"slant": slant, "thickness": thickness, "width": width}
    wanted = {name: value for name, value in given.items() if value is not None}
    check_knobs(wanted)
    _check_out(out, 1, size)
    studio = Studio.load(model)
    knobs = Knobs.load(studio)
    found, labels = named_digits([images], digit, strict=False)
    _check_out(out, len(found), size)
    parts = [slice(start, start + CHUNK) for start in range(0, len(found), CHUNK)]
    edited = [
        edit_images(studio, knobs, found[part], labels[part], wanted, part.start)
        for part in track(parts, "Editing", console=screen, transient=True, disable=len(parts) < 2)
    ]
    _save(out, np.concatenate([part.images for part in edited]), labels, size, overwrite)
    reached = Reached(wanted)
    for part in edited:
        reached.add(part.measured)
    reached.tell()
    changed = f"{len(found):,} digit{'s' * (len(found) != 1)}" if wanted else "Nothing changed"
    say(f"{changed}: {out}")


@app.command()
def interpolate(
    a: Annotated[
        str,
        typer.Argument(
            help="A picture of a digit, a digit 0 to 9, or a code: 7: and 24 numbers with commas; for a model that is "
            "not told the digit : and its numbers."
        ),
    ],
    out: PictureOption,
    b: Annotated[str | None, typer.Argument(help="Another; where left out, the one digit is drawn.")] = None,
    steps: Annotated[int, typer.Option(help="Digits on the way, both ends included.")] = 11,
    beyond: Annotated[float, typer.Option(help="How much farther to go at both ends, as a share of the way.")] = 0.0,
    size: SizeOption = 112,
    seed: SeedOption = 0,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw the way from one digit to another, and beyond; or one digit by its code.

    **Examples**

    - `digitvae interpolate 3 8 -o way.png` - from a drawn digit to another
    - `digitvae interpolate mine.png yours.png --beyond 0.5 -o way.png` - between your own, and past both ends
    - `digitvae interpolate :-1.2,0.4 :0.8,1.5 --model map -o plane.png` - between two codes
    """
    from digitvae.data.files import refuse_existing
    from digitvae.rundir import find_model

    refuse_existing(out, overwrite)
    if b is None and beyond:
        raise InputError("--beyond goes on past two digits; give another one.")
    folder = find_model(model)
    way = _drawn_way if (folder / "draw.onnx").is_file() else _decoded_way
    images, labels = way(folder, a, b, steps, beyond, seed)
    _save(out, images, labels, size, overwrite, columns=len(images))
    say(f"{len(images)} digit{'s' * (len(images) != 1)}: {out}")


@app.command()
def mix(
    digit_of: Annotated[str, typer.Option("--digit-of", help="A digit 0 to 9, or a picture or code of one.")],
    style_of: Annotated[
        str, typer.Option("--style-of", help="A picture whose style is taken, a folder of them, or a code.")
    ],
    out: PictureOption,
    digit: DigitOption = None,
    size: SizeOption = 112,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw the digit of one in the style of another.

    **Examples**

    - `digitvae mix --digit-of 5 --style-of my7.png -o my5.png` - a 5 in the style of your 7
    - `digitvae mix --digit-of a.png --style-of digits/ -o mixed.png` - one digit in many styles

    A code is a digit, a colon and numbers with commas, as for interpolate.
    """
    from digitvae.data.files import refuse_existing
    from digitvae.studio import Studio
    from digitvae.styling import mix_styles

    refuse_existing(out, overwrite)
    studio = Studio.load(model)
    label = int(_end(studio, digit_of, 0, 0)[1].argmax())
    if ":" in style_of and not is_there(style_of):
        noise, weights = _end(studio, style_of, 0, 0)
        styles, style_labels = noise[None], weights[None].argmax(1)
    else:
        images, style_labels = named_digits([Path(style_of)], digit)
        styles = studio.style(images, style_labels)
    labels = np.full(len(styles), label)
    _save(out, mix_styles(studio, labels, styles, style_labels), labels, size, overwrite)
    say(f"{len(labels):,} digit{'s' * (len(labels) != 1)} {label}: {out}")


@app.command()
def restore(
    image: Annotated[Path, typer.Argument(help="A picture of one digit.")],
    out: PictureOption,
    mask: Annotated[
        str | None,
        typer.Option(help="What is covered: top, bottom, left, right, or left,top,width,height in pixels of 28."),
    ] = None,
    denoise: Annotated[
        bool, typer.Option("--denoise", help="Draw what can be seen anew too, without its noise.")
    ] = False,
    samples: Annotated[int, typer.Option("-n", "--samples", help="Draws.")] = 8,
    digit: Annotated[int | None, typer.Option(help="What it is, where it is known.")] = None,
    size: SizeOption = 112,
    seed: SeedOption = 0,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Fill in a covered part of a digit, or take noise away: several draws of what it may have been.

    With --mask a picture is scaled to 28 x 28 as a whole, so that the mask lies where it says: the digit should be
    about 20 pixels high and in the middle, as in MNIST. Which digits the draws are is a rough guess; --digit says it.

    **Examples**

    - `digitvae restore half.png --mask right -o whole.png` - what the right half may have been
    - `digitvae restore dusty.png --denoise -o clean.png` - without the dust
    """
    from digitvae.checkpoint import load_model
    from digitvae.data import load_digits
    from digitvae.data.files import refuse_existing
    from digitvae.data.fitting import scale_picture
    from digitvae.data.folders import read_file
    from digitvae.data.pictures import SUFFIXES, read_picture
    from digitvae.restoration import restore as restored
    from digitvae.rundir import find_model

    if mask is None and not denoise:
        raise InputError("Say what is covered with --mask, or --denoise, or both.")
    refuse_existing(out, overwrite)
    _check_out(out, samples + 1, size)
    covered = _covered(mask)
    if mask is not None and image.suffix.lower() in SUFFIXES:
        # As a whole: fitting would move what is left to see away from under the mask.
        whole, how = scale_picture(read_picture(read_file(image), str(image)), str(image))
        found = whole[None]
        if how:
            say(how)
    else:
        found = load_digits(image, say)[0].images
    if len(found) != 1:
        raise InputError(f"{image} holds {len(found):,} digits; restore one at a time.")
    vae, _ = load_model(find_model(model))
    with screen.status("Restoring"):
        drawn = restored(vae, found[0], covered, samples, digit, seed)
    images = drawn.images if denoise else np.where(covered, drawn.images, found[0])
    shown = np.concatenate([np.where(covered, 0, found), images]).astype(np.uint8)
    if out.suffix.lower() == ".png":
        _save(out, shown, np.zeros(0, np.int64), size, overwrite, columns=len(shown))
    else:
        labels = drawn.labels if drawn.labels is not None else _labels_of(images, digit)
        _save(out, images, labels, size, overwrite)
    read = "" if drawn.labels is None else " as " + ", ".join(str(label) for label in drawn.labels.tolist())
    say(f"{len(images)} draws{read}: {out}")


def _labels_of(images: Array, digit: int | None) -> Array:
    """What digits are: as was said, or as a reader reads them."""
    from digitvae.reading import frozen, read_digits

    if digit is not None:
        return np.full(len(images), digit)
    return read_digits(frozen("reader")[0], images).argmax(1).numpy()


_DIGITS = [str(digit) for digit in range(10)]


def _drawn_way(folder: Path, a: str, b: str | None, steps: int, beyond: float, seed: int) -> tuple[Array, Array]:
    """Digits from one to another, and what they are, by a model that draws the digit it is asked for."""
    from digitvae.studio import Studio
    from digitvae.styling import between, check_way

    if b is not None:
        check_way(steps, beyond)
    studio = Studio(folder)
    first = _end(studio, a, seed, 0)
    if b is None:
        return studio.draw(first[0][None], first[1][None]), first[1][None].argmax(1)
    ends = first, _end(studio, b, seed, 1)
    share = np.linspace(-beyond, 1 + beyond, steps)[:, None].clip(0, 1)
    labels = ((1 - share) * ends[0][1] + share * ends[1][1]).argmax(1)
    return between(studio, *ends, steps=steps, beyond=beyond), labels


def _decoded_way(folder: Path, a: str, b: str | None, steps: int, beyond: float, seed: int) -> tuple[Array, Array]:
    """Digits from one to another by a model that is not told the digit, and what a reader takes them for."""
    from digitvae.checkpoint import load_model
    from digitvae.generation import decode_images
    from digitvae.latent import extrapolate
    from digitvae.reading import frozen, read_digits
    from digitvae.styling import check_way

    check_way(steps, beyond)
    model, _ = load_model(folder)
    if model.classes:
        raise InputError("This model is told the digit and cannot draw yet: run `digitvae export` first.")
    first = _code(model, a)
    codes = first[None] if b is None else extrapolate(first, _code(model, b), steps, beyond)
    images = (decode_images(model, codes)[:, 0] * 255).round().byte().numpy()
    return images, read_digits(frozen("reader")[0], images).argmax(1).numpy()


def _code(model: VAE, text: str) -> Tensor:
    """The code of a picture, or the numbers behind a colon."""
    import torch

    from digitvae.generation import encode_images

    if is_there(text):
        images, _ = named_digits([Path(text)], strict=False)
        if len(images) != 1:
            raise InputError(f"{text} holds {len(images):,} digits; give one.")
        return encode_images(model, images).loc[0]
    before, _, code = text.partition(":")
    try:
        numbers = torch.tensor([float(number) for number in code.split(",")])
    except ValueError:
        numbers = torch.zeros(0)
    if before or numbers.shape != (model.latent_dim,) or not numbers.isfinite().all():
        raise InputError(
            f"'{text}' is no file and no code; a code of this model is a colon and {model.latent_dim} numbers with "
            "commas."
        )
    return numbers


def _end(studio: Studio, text: str, seed: int, place: int) -> tuple[Array, Array]:
    """A style and weights of the ten digits, of a picture, a digit or a code."""
    from digitvae.studio import stream

    if text in _DIGITS:
        noise = stream(seed, "chunks", place).normal(size=studio.latent_dim)
        return noise, np.eye(10)[int(text)]
    if is_there(text):
        images, labels = named_digits([Path(text)])
        if len(images) != 1:
            raise InputError(f"{text} holds {len(images):,} digits; give one.")
        return studio.style(images, labels)[0], np.eye(10)[labels[0]]
    digit, _, code = text.partition(":")
    try:
        noise = np.array([float(number) for number in code.split(",")])
    except ValueError:
        noise = np.zeros(0)
    if digit not in _DIGITS or noise.shape != (studio.latent_dim,) or not np.isfinite(noise).all():
        raise InputError(
            f"'{text}' is no file, no digit and no code; a code is a digit, a colon and {studio.latent_dim} numbers "
            "with commas."
        )
    return noise, np.eye(10)[int(digit)]


def _covered(mask: str | None) -> npt.NDArray[np.bool_]:
    covered = np.zeros((28, 28), bool)
    if mask is None:
        return covered
    if mask in SIDES:
        covered[SIDES[mask]] = True
        return covered
    try:
        left, top, width, height = (int(number) for number in mask.split(","))
    except ValueError as error:
        raise InputError(f"'{mask}' is no mask; use {', '.join(SIDES)}, or left,top,width,height.") from error
    if min(left, top) < 0 or min(width, height) < 1 or left + width > 28 or top + height > 28:
        raise InputError(f"The mask {mask} is not within the 28 x 28 pixels of a digit.")
    covered[top : top + height, left : left + width] = True
    return covered


def _check_out(out: Path, count: int, size: int) -> None:
    """Raise InputError where so many digits cannot be written there, before any work is done."""
    from digitvae.data.sinks import format_of
    from digitvae.inking import MAX_SHEET, check_side

    if out.suffix.lower() != ".png":
        format_of(out)
        return
    check_side(size)
    if count > MAX_SHEET:
        raise InputError(f"A picture holds up to {MAX_SHEET:,} digits; write them to a folder, .npz or .parquet.")


def _save(out: Path, images: Array, labels: Array, size: int, overwrite: bool, columns: int | None = None) -> None:
    """One picture of all digits where a PNG is asked for, else digits as `generate` writes them, 28 x 28."""
    from digitvae.data.files import write_aside
    from digitvae.data.sinks import format_of, open_sink
    from digitvae.inking import as_png, resized, sheet

    _check_out(out, len(images), size)
    if out.suffix.lower() == ".png":
        content = as_png(sheet(resized(images, size), columns, gap=max(2, size // 14)))
        write_aside(out, lambda file: file.write(content), overwrite)
        return
    with open_sink(out, format_of(out), len(images), overwrite) as sink:
        sink.add(images, labels.astype(np.uint8))
