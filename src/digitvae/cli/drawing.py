"""Commands that draw: labelled digits, and numbers in one hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.progress import track

from digitvae.cli.app import app, screen
from digitvae.cli.inputs import is_there, named_digits, read_lines, read_list, say
from digitvae.errors import InputError
from digitvae.studio import TEMPERATURE

if TYPE_CHECKING:
    from digitvae.handwriting import Line
    from digitvae.morphometry import Morphometry
    from digitvae.studio import Batch, Studio

ModelOption = Annotated[str, typer.Option(help="Model that draws: shipped, or a folder that was exported.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same bytes.")]
TemperatureOption = Annotated[
    float, typer.Option(help="1 is as varied as real digits; less is more legible, more is the reverse.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")]
SlantOption = Annotated[float | None, typer.Option(help="Degrees from the vertical; to the right is positive.")]
ThicknessOption = Annotated[float | None, typer.Option(help="Of the strokes, in pixels of 28.")]
WidthOption = Annotated[float | None, typer.Option(help="Of the ink, in pixels of 28.")]

PICTURES = (".png", ".svg")

MAX_LINES = 500
"""Lines in one picture, at most."""

MAX_DPI = 10_000

MAX_PIXELS = 2**28
"""Pixels of one sheet, at most."""

MISSED = 0.2
"""A knob this far from what was asked for was missed, in `digitvae.styling.UNITS`: 1.8 degrees, 0.1 or 0.5 pixels."""


@app.command()
def generate(
    out: Annotated[Path, typer.Option("-o", "--out", help="File or folder; the ending chooses the format.")],
    count: Annotated[int | None, typer.Option("-n", "--count", help="How many; 64 where left out.")] = None,
    digit: Annotated[int | None, typer.Option(help="Which digit; all ten, mixed, where left out.")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="npz, idx (as MNIST: the last seventh are its test digits), png or parquet."),
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="One picture with all digits side by side.")] = False,
    shards: Annotated[
        int, typer.Option(help="Write --out as a folder of so many Parquet files; continued where it is one.")
    ] = 0,
    hands: Annotated[int, typer.Option(help="Writers that share the digits evenly; 0: each digit is another's.")] = 0,
    labels: Annotated[
        Path | None, typer.Option(help="CSV with columns hand,label: who writes what, a row a digit.")
    ] = None,
    slant: SlantOption = None,
    thickness: ThicknessOption = None,
    width: WidthOption = None,
    size: Annotated[int, typer.Option(help="Height and width of each digit, in pixels.")] = 28,
    invert: Annotated[bool, typer.Option("--invert", help="Dark ink on light paper.")] = False,
    seed: SeedOption = 0,
    temperature: TemperatureOption = TEMPERATURE,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw labelled digits that nobody wrote.

    **Examples**

    - `digitvae generate --digit 7 -n 64 --grid -o sevens.png` - a picture of sevens
    - `digitvae generate -n 60000 -o digits.npz` - a set to train on, with labels
    - `digitvae generate -n 5000 --hands 50 --format idx -o digits/` - in MNIST's files, by 50 writers
    - `digitvae generate --thickness 4 --grid -o bold.png` - with a broad pen
    - `torchrun --nproc-per-node 2 -m digitvae generate -n 1000000 --shards 100 -o million/` - by two processes
    """
    from digitvae.data.files import refuse_existing, write_aside
    from digitvae.data.sinks import format_of, open_sink
    from digitvae.inking import MAX_SHEET, as_png, check_side, resized, sheet
    from digitvae.sharding import FORMAT, Shards, turn
    from digitvae.studio import CHUNK, Studio
    from digitvae.styling import check_knobs

    rank, processes = turn()
    if processes > 1 and not shards:
        raise InputError("Several processes cannot write one file: say how many files with --shards.")
    if shards:
        if labels is not None or grid or kind not in (None, FORMAT) or overwrite:
            raise InputError(
                "--shards writes Parquet files of digits: leave out --labels, --grid, --format, --overwrite."
            )
    else:
        refuse_existing(out, overwrite)
    studio = Studio.load(model, threads=int(processes > 1))
    if labels is not None:
        if count is not None or digit is not None or hands:
            raise InputError("--labels says how many digits, which, and whose: leave out -n, --digit and --hands.")
        who, what = read_list(labels)
        count, batches = len(what), studio.listed(who, what, seed=seed, temperature=temperature)
    else:
        count = 64 if count is None else count
        batches = studio.digits(count, digit=digit, hands=hands, seed=seed, temperature=temperature)
    given = {"slant": slant, "thickness": thickness, "width": width}
    wanted = {name: value for name, value in given.items() if value is not None}
    if wanted:
        check_knobs(wanted)
    reached = Reached(wanted)
    check_side(size)
    if shards:
        plan = Shards(out, count, shards)
        about = {"digit": digit, "hands": hands, "seed": seed, "temperature": temperature, "size": size}
        plan.claim({**about, "invert": invert, **wanted, "weights": studio.weights_sha256})
        left = plan.missing(rank, processes)
        for shard in track(left, "Drawing shards", console=screen, transient=True, disable=rank > 0 or len(left) < 2):
            some = studio.digits(
                count, digit=digit, hands=hands, seed=seed, temperature=temperature, chunks=plan.chunks(shard)
            )
            some = _set_knobs(studio, some, reached) if wanted else some
            plan.make(shard, some, lambda batch: _finished(batch.images, size, invert), size)
        if rank == 0:
            reached.tell()
            say(f"{count:,} digits in {shards:,} shards: {out}")
        return
    if wanted:
        batches = _set_knobs(studio, batches, reached)
    if grid:
        if out.suffix.lower() != ".png" or kind is not None:
            raise InputError("A --grid is one PNG picture: end --out in .png and leave out --format.")
        if count > MAX_SHEET:
            raise InputError(
                f"A --grid holds up to {MAX_SHEET:,} digits, not {count:,}; write them to a file or folder."
            )
        if count * size**2 > MAX_PIXELS:
            raise InputError(f"{count:,} digits of {size} pixels are too large for one picture; lower -n or --size.")
        images = resized(np.concatenate([batch.images for batch in batches]), size)
        picture = sheet(images)
        write_aside(out, lambda file: file.write(as_png(255 - picture if invert else picture)), overwrite)
    else:
        with open_sink(out, format_of(out, kind), count, overwrite, size) as sink:
            shown = track(
                batches, "Drawing", -(-count // CHUNK), console=screen, transient=True, disable=count <= CHUNK
            )
            for batch in shown:
                sink.add(_finished(batch.images, size, invert), batch.labels, batch.hands)
    reached.tell()
    say(f"{count:,} digits: {out}")


def _finished(images: npt.NDArray[np.uint8], size: int, invert: bool) -> npt.NDArray[np.uint8]:
    """Digits as they are to be written: of that size, light on dark or dark on light."""
    from digitvae.inking import resized

    images = resized(images, size)
    return 255 - images if invert else images


@app.command()
def write(
    texts: Annotated[list[str] | None, typer.Argument(help="Numbers to write, a line each.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .png or .svg, or a folder for a file a line.")] = Path(
        "note.png"
    ),
    source: Annotated[Path | None, typer.Option("--from", help="A text file with a number on each line.")] = None,
    hand: Annotated[
        int | None, typer.Option(help="Number of the hand, 0 where left out; the same number always writes alike.")
    ] = None,
    like: Annotated[
        list[Path] | None, typer.Option(help="Pictures of digits by the hand that is to write, in place of --hand.")
    ] = None,
    height: Annotated[int, typer.Option(help="Of a digit, in pixels.")] = 64,
    dpi: Annotated[int, typer.Option(help="Dots per inch that a PNG says of itself.")] = 300,
    ink: Annotated[str, typer.Option(help="Colour of the ink: a name such as navy, or #rrggbb.")] = "#000000",
    paper: Annotated[str, typer.Option(help="Colour of the paper.")] = "#ffffff",
    boxes: Annotated[Path | None, typer.Option(help="A JSON file for the box of every character.")] = None,
    seed: SeedOption = 0,
    temperature: TemperatureOption = TEMPERATURE,
    model: ModelOption = "studio",
    overwrite: OverwriteOption = False,
) -> None:
    """Write numbers as one person would.

    **Examples**

    - `digitvae write "2026-11-23" "1,024.50" -o note.png` - two lines in one hand
    - `digitvae write 0123456789 --hand 42 --ink navy -o mine.svg` - a writer's ten digits, as outlines
    - `digitvae write 90210 --like my3.png my7.png` - in your own hand
    - `digitvae write --from numbers.txt -o lines/` - a picture for each line of a file
    - `digitvae write -o minus.png -- -5` - what begins with a minus stands last
    """
    from digitvae.data.files import refuse_existing, write_aside
    from digitvae.handwriting import page
    from digitvae.handwriting import write as write_lines
    from digitvae.studio import Studio

    wanted = list(texts or [])
    if like:  # the shell may spread the examples: --like a.png b.png
        examples = [text for text in wanted if _is_example(text)]
        like += [Path(text) for text in examples]
        wanted = [text for text in wanted if text not in examples]
    if source is not None:
        wanted += read_lines(source)
    if not wanted:
        raise InputError(
            'There is nothing to write: give a number, such as digitvae write "2026-11-23", or --from FILE.'
        )
    if like and hand is not None:
        raise InputError("--hand and --like both say who writes; leave one out.")
    picture = out.suffix.lower() in PICTURES
    if out.suffix and not picture:
        raise InputError(f"'{out}' must end in .png or .svg, or be a folder.")
    refuse_existing(out, overwrite if picture else None)
    if boxes is not None:
        refuse_existing(boxes, overwrite)
    if boxes == out:
        raise InputError(f"--out and --boxes are both {out}; give them two names.")
    if not 1 <= dpi <= MAX_DPI:
        raise InputError(f"A picture has 1 to {MAX_DPI:,} dots per inch, not {dpi}.")
    if picture and len(wanted) > MAX_LINES:
        raise InputError(
            f"A picture holds up to {MAX_LINES} lines, not {len(wanted):,}; give a folder for a file a line."
        )
    studio = Studio.load(model)
    who = studio.learn(*named_digits(like)) if like else hand or 0
    lines = write_lines(studio, wanted, [who] * len(wanted), height=height, seed=seed, temperature=temperature)
    if picture:
        whole = page(list(lines))
        _save_line(whole, out, ink, paper, dpi, overwrite)
        found = {out.name: _boxes(whole)}
    else:
        found = _save_folder(lines, len(wanted), out, ink, paper, dpi)
    if boxes is not None:
        content = (json.dumps(found, indent=1) + "\n").encode()
        write_aside(boxes, lambda file: file.write(content), overwrite)
    say(f"{len(wanted):,} line{'s' * (len(wanted) != 1)}: {out}")


def _is_example(text: str) -> bool:
    """Whether a word beside the examples is one, rather than something to write: there, or named like a picture."""
    from digitvae.data.pictures import SUFFIXES
    from digitvae.handwriting import CHARACTERS

    if set(text) <= set(CHARACTERS):
        return False
    return is_there(text) or Path(text).suffix.lower() in SUFFIXES


def _set_knobs(studio: Studio, batches: Iterator[Batch], reached: Reached) -> Iterator[Batch]:
    """Digits as they come, with the knobs set that `reached` counts."""
    from digitvae.styling import Knobs, edit_styles

    knobs = Knobs.load(studio)
    for batch in batches:
        edited = edit_styles(studio, knobs, batch.noise, batch.labels, reached.wanted)
        reached.add(edited.measured)
        yield dataclasses.replace(batch, images=edited.images, noise=edited.noise)


class Reached:
    """What came of knobs, and how many digits did not reach them; only sums are kept, whatever the number of digits.

    Args:
        wanted: The knobs that are set, and to what.
    """

    def __init__(self, wanted: Mapping[str, float]) -> None:
        self.wanted, self.digits = wanted, 0
        self.found, self.missed, self.total = (dict.fromkeys(wanted, 0.0) for _ in range(3))

    def add(self, measured: Morphometry) -> None:
        """Count some digits."""
        from digitvae.styling import UNITS

        for name, asked in self.wanted.items():
            got = getattr(measured, name)
            self.found[name] += float(np.isfinite(got).sum())
            self.total[name] += float(np.nansum(got))
            # What cannot be measured any more counts as missed.
            self.missed[name] += float(np.sum(~(np.abs(got - asked) <= MISSED * UNITS[name])))
        self.digits += len(measured.slant)

    def tell(self) -> None:
        """Print a sentence for each knob, where there were digits."""
        from digitvae.styling import UNITS

        if not self.digits:
            return
        for name, asked in self.wanted.items():
            unit = "degrees" if name == "slant" else "pixels"
            mean = self.total[name] / self.found[name] if self.found[name] else float("nan")
            said = f"{name}: {asked:g} {unit} asked for, {mean:.1f}{' on average' * (self.digits > 1)}"
            missed = f"; {self.missed[name]:,.0f} of {self.digits:,} more than {MISSED * UNITS[name]:g} off"
            say(said + (missed if self.missed[name] else ""))


def _save_line(line: Line, out: Path, ink: str, paper: str, dpi: int, overwrite: bool) -> None:
    from digitvae.data.files import write_aside
    from digitvae.inking import as_png, as_svg, paint

    if out.suffix.lower() == ".svg":
        content = as_svg(line.ink, ink, paper).encode()
    else:
        content = as_png(paint(line.ink, ink, paper), dpi)
    write_aside(out, lambda file: file.write(content), overwrite)


def _save_folder(lines: Iterator[Line], count: int, out: Path, ink: str, paper: str, dpi: int) -> dict[str, Any]:
    """A picture for each line in a new folder, which appears when all are there; their boxes by file."""
    from digitvae.data.files import folder_aside

    found = {}
    with folder_aside(out) as aside:
        for number, line in enumerate(track(lines, "Writing", count, console=screen, transient=True), 1):
            name = f"line-{number:04d}.png"
            _save_line(line, aside / name, ink, paper, dpi, False)
            found[name] = _boxes(line)
    return found


def _boxes(line: Line) -> dict[str, Any]:
    height, width = line.ink.shape
    return {
        "text": line.text,
        "width": width,
        "height": height,
        "boxes": line.boxes,
    }
