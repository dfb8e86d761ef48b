"""The command that opens the explorer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitvae.cli.app import DataDirOption, DataOption, app, screen
from digitvae.errors import InputError

if TYPE_CHECKING:
    from digitvae.explorer.explored import Explored


@app.command()
def explore(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or shipped model.")] = "map",
    data: DataOption = None,
    data_dir: DataDirOption = None,
    port: Annotated[int | None, typer.Option(help="On 127.0.0.1; a free one from 8000 on where left out.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open nothing.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write map, film and snapshots to a new folder that opens from disk, and leave.")
    ] = None,
) -> None:
    """See a model and touch it, in the browser: its map, its training as a film, your own digits, styles, handwriting.

    The page is served on this machine alone. Without --data a run shows its own digits, and a model MNIST's where they
    are on this machine, else those that come with the package; nothing is downloaded.

    **Examples**

    - `digitvae explore` - the model `map`, which comes with the package
    - `digitvae explore exact --port 8080 --no-browser` - for a browser that you open yourself
    - `digitvae explore runs/demo --export site/` - a page that needs no server
    """
    from digitvae.data.files import refuse_existing
    from digitvae.rundir import find_model

    find_model(model)
    if export is not None:
        refuse_existing(export, None)
        if port is not None or no_browser:
            raise InputError("--export writes a folder and serves nothing: leave out --port and --no-browser.")
        from digitvae.explorer.exporting import export_folder

        with screen.status("Loading") as status:
            difference = export_folder(_load(model, data, data_dir), export, status.update)
        screen.print(
            f"Between nodes, digits differ from the decoder's by at most {difference.largest} of 255 grey levels, "
            f"{difference.mean:.2f} on average ({difference.places:,} random places).",
            soft_wrap=True,
        )
        screen.print(f"Written: {export / 'index.html'}", soft_wrap=True)
        return
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError('The explorer needs FastAPI and uvicorn: run pip install "digitvae[explorer]".') from error
    from digitvae.explorer.serving import bound, serve

    place = bound(port)
    serve(lambda: _load(model, data, data_dir), place, not no_browser, lambda text: screen.print(text, soft_wrap=True))


def _load(model: str, data: str | None, data_dir: Path | None) -> Explored:
    import torch

    from digitvae.data import load_splits
    from digitvae.data.sources import mnist_here
    from digitvae.evaluation.files import data_of
    from digitvae.explorer.explored import Explored

    torch.set_num_threads(1)  # one digit is too little to share; the cores are for several that are asked for at once
    name = data or data_of(model)
    if name == "mnist" and data is None and not mnist_here(data_dir):
        name = "mnist-5k"
    splits = load_splits(name, data_dir=data_dir, notify=screen.print)
    return Explored(model, splits, name, data_dir if name == "mnist" else None)
