"""The command line: parse, call, exit. Imports that take long happen inside the commands, so that help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from digitvae import __version__
from digitvae.config import Config, load_recipe, recipe_names
from digitvae.errors import DigitVAEError, InputError, RunError, TrainingDivergedError

if TYPE_CHECKING:
    from digitvae.data import Splits
    from digitvae.running import Outcome

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Variational autoencoders for handwritten digits: train one, see what it learned, generate and measure.

**Examples**

`digitvae demo` - train the default recipe on the digits that come with the package, and write a report

`digitvae train map --epochs 50 --out runs/mine` - train on MNIST (found, or downloaded once)

`digitvae train --data my_digits/ --set latent_dim=3` - your own images, other settings

`digitvae train --out runs/mine --resume` - go on after a stop

`digitvae report runs/mine` - write the report of a run anew
""",
)
screen = Console(stderr=True, highlight=False)

DEMO_AUGMENTATION = 0.4
"""3,200 digits need stronger changes than the recipe's 48,000; settled on the validation digits (see LOG.md)."""

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="mnist, mnist-5k (comes with the package), or a path: .npz, IDX, Parquet, folder."),
]
DataDirOption = Annotated[Path | None, typer.Option(help="Folder with the four MNIST files.")]
NoFallbackOption = Annotated[
    bool, typer.Option("--no-fallback", help="Fail where MNIST cannot be had, rather than use mnist-5k.")
]

BinarizationOption = Annotated[
    str | None, typer.Option(help="What to do to grey pixels: none, dynamic or static; the recipe's where left out.")
]


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help=f"{', '.join(recipe_names())}, or a .toml file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/RECIPE where left out.")] = None,
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training digits.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random stream.")] = None,
    snapshots: Annotated[str | None, typer.Option(help="Epochs to keep, such as 20,50,80,100,150.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a recipe into a run directory.

    Examples: `digitvae train seed --epochs 20` - `digitvae train map --set latent_dim=3 --set encoder=[256,128]` -
    `digitvae train --out runs/map --resume`
    """
    if resume:
        changed = [
            ("--seed", seed),
            ("--snapshots", snapshots),
            ("--set", settings),
            ("--overwrite", overwrite or None),
        ]
        named = [name for name, value in changed if value is not None]
        if named:
            raise InputError(
                f"{', '.join(named)} cannot be changed when a run goes on; leave it out, or start a new run."
            )
        _resume(out or Path("runs") / (recipe or "map"), recipe, data, data_dir, not no_fallback, epochs)
        return
    config = load_recipe(recipe or "map").with_settings(_as_settings(data, epochs, seed, snapshots) + (settings or []))
    directory = out or Path("runs") / config.recipe
    _train(config, directory, data_dir, not no_fallback, overwrite)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    data_dir: DataDirOption = None,
) -> None:
    """Write RUN/report.html: one self-contained page with everything the run has learned.

    Example: `digitvae report runs/map`
    """
    _report(run, data_dir)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or shipped model.")],
    metrics: Annotated[str, typer.Option(help="What to measure, comma-separated.")] = "density,clusters,samples",
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    binarization: BinarizationOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="5 binarisations, 4 shifts, k = 500, and classifiers: takes far longer."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; RUN/evaluation.json, or MODEL-evaluation.json here.")
    ] = None,
) -> None:
    """Measure a model on digits that it has not seen: densities, clusters and samples, as a table and evaluation.json.

    Examples: `digitvae evaluate exact` - `digitvae evaluate runs/map --metrics density --full`
    """
    from digitvae.evaluation.files import data_of, evaluate_folder, evaluation_file
    from digitvae.terminal import measures_table

    path = evaluation_file(model, out)
    splits = _load(data or data_of(model), data_dir, not no_fallback)
    with screen.status("Evaluating") as status:
        content = evaluate_folder(model, splits, metrics.split(","), binarization, full, path, status.update)
    screen.print(measures_table(content))
    screen.print(f"Written: {path}", soft_wrap=True)


@app.command()
def score(
    images: Annotated[Path, typer.Argument(help="A picture, a folder of them, .npz, IDX or Parquet.")],
    model: Annotated[str, typer.Option(help="Run directory, model folder or shipped model.")] = "exact",
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    binarization: BinarizationOption = None,
    out: Annotated[Path | None, typer.Option(help="A CSV file for all scores.")] = None,
) -> None:
    """How probable digits are: log p(x) of each image, and its percentile among real digits.

    The shipped models carry the scores of real digits and need no data; with --data others are taken.

    Examples: `digitvae score seven.png` - `digitvae score digits/ --model runs/map --out scores.csv`
    """
    from digitvae.data import load_digits
    from digitvae.evaluation.files import data_of, score_folder, write_scores
    from digitvae.terminal import scores_table

    if out is not None and out.exists():
        raise RunError(f"{out} exists; name another file with --out.")
    digits, _ = load_digits(images, screen.print)

    def real() -> Splits:
        return _load(data or data_of(model), data_dir, not no_fallback)

    with screen.status("Scoring"):
        scores = score_folder(model, digits, binarization, real, carried=data is None)
    screen.print(scores_table(scores))
    if out is not None:
        write_scores(out, scores)
        screen.print(f"Written: {out}", soft_wrap=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Run directory.")] = Path("runs/demo"),
    epochs: Annotated[int | None, typer.Option(help="Passes over the training digits.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train the default recipe on the digits that come with the package, and write a report. Needs no network.

    Example: `digitvae demo`
    """
    from digitvae.rundir import RunDirectory

    there = RunDirectory(out)
    if there.state_file.is_file() and not overwrite:
        outcome = _resume(out, None, None, None, True, epochs)
    else:
        settings = [*_as_settings("mnist-5k", epochs, None, None), f"data.augmentation={DEMO_AUGMENTATION}"]
        config = load_recipe("map").with_settings(settings)
        outcome = _train(config, out, None, True, overwrite)
    if outcome.complete:
        _report(out, None)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(f"digitvae {__version__}")
        raise typer.Exit()


def _as_settings(data: str | None, epochs: int | None, seed: int | None, snapshots: str | None) -> list[str]:
    """The options that are short names of settings."""
    given = {"data.name": data and f"'''{data}'''", "training.epochs": epochs, "training.seed": seed}
    given["training.snapshots"] = snapshots and f"[{snapshots}]"
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _load(name: str, data_dir: Path | None, fallback: bool) -> Splits:
    from digitvae.data import load_splits

    return load_splits(name, data_dir=data_dir, fallback=fallback, notify=screen.print)


def _train(config: Config, out: Path, data_dir: Path | None, fallback: bool, overwrite: bool) -> Outcome:
    from digitvae.running import stop_on_signals, train_run
    from digitvae.terminal import ProgressBar

    splits = _load(config.data.name, data_dir, fallback)
    with stop_on_signals() as stop, ProgressBar(screen) as bar:
        outcome = train_run(config, splits, out, overwrite=overwrite, stop=stop, watcher=bar)
    return _finish(outcome)


def _resume(
    out: Path, recipe: str | None, data: str | None, data_dir: Path | None, fallback: bool, epochs: int | None
) -> Outcome:
    from digitvae.rundir import RunDirectory
    from digitvae.running import resume_run, stop_on_signals
    from digitvae.terminal import ProgressBar

    splits = _load(data or RunDirectory(out).data_name(), data_dir, fallback)
    with stop_on_signals() as stop, ProgressBar(screen) as bar:
        outcome = resume_run(out, splits, recipe=recipe, epochs=epochs, stop=stop, watcher=bar)
    return _finish(outcome)


def _finish(outcome: Outcome) -> Outcome:
    where = outcome.run.path
    if not outcome.complete:
        screen.print(f"Stopped after epoch {outcome.epoch} and saved. Go on with:")
        screen.print(f"  digitvae train --out {where} --resume", soft_wrap=True)
        raise typer.Exit(130)
    screen.print(
        f"Trained {outcome.epoch} epochs. Lowest validation loss: {outcome.best_loss:.2f} nats per image, "
        f"at epoch {outcome.best_epoch}. Run: {where}",
        soft_wrap=True,
    )
    return outcome


def _report(path: Path, data_dir: Path | None) -> None:
    from digitvae.report import write_report
    from digitvae.rundir import RunDirectory

    run = RunDirectory(path)
    splits = _load(run.data_name(), data_dir, fallback=False)
    if splits.sha256 != run.manifest()["data"]["sha256"]:
        raise RunError(f"{path} was trained on other digits than {run.data_name()} holds now; bring those back.")
    with screen.status("Writing the report") as status:
        written = write_report(run, splits, notify=lambda text: status.update(text))
    screen.print(f"Report: {written}", soft_wrap=True)


def main() -> None:
    """Run the command line; an error that digitvae foresaw is one sentence and exit code 2 (1 for divergence)."""
    try:
        app()
    except TrainingDivergedError as error:
        screen.print(f"Training stopped: {error}", soft_wrap=True, markup=False)
        sys.exit(1)
    except DigitVAEError as error:
        screen.print(f"Error: {error}", soft_wrap=True, markup=False)
        sys.exit(2)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        screen.print(f"Error: {error.strerror or error}{place}.", soft_wrap=True, markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        screen.print("Interrupted.")
        sys.exit(130)


if __name__ == "__main__":
    main()
