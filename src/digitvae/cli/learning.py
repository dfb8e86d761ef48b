"""Commands that train a model and show what it has learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitvae.cli.app import DataDirOption, DataOption, NoFallbackOption, app, load_data, screen, together
from digitvae.config import Config, load_recipe, recipe_names
from digitvae.errors import InputError, RunError

if TYPE_CHECKING:
    from digitvae.running import Outcome

CURVES = "tensorboard"
"""Folder in a run for the curves that TensorBoard reads."""

DEMO_AUGMENTATION = 0.4
"""3,200 digits need stronger changes than the recipe's 48,000; settled on the validation digits (see LOG.md)."""


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
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard.")] = False,
) -> None:
    """Train a recipe into a run directory.

    **Examples**

    - `digitvae train seed --epochs 20` - the original report's network
    - `digitvae train map --set latent_dim=3 --set encoder=[256,128]` - with other settings
    - `digitvae train --out runs/map --resume` - go on after a stop
    - `torchrun --nproc-per-node 2 -m digitvae train map` - one run by two processes, or by several machines

    On several processors or machines: `torchrun --nproc-per-node 2 -m digitvae train map` trains one run together.
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
        _resume(out or Path("runs") / (recipe or "map"), recipe, data, data_dir, not no_fallback, epochs, tensorboard)
        return
    if recipe in ("gan", "gan-classic"):
        raise InputError(f"A GAN is trained beside its rivals: digitvae compare --models {recipe} -o comparison")
    config = load_recipe(recipe or "map").with_settings(_as_settings(data, epochs, seed, snapshots) + (settings or []))
    directory = out or Path("runs") / config.recipe
    _train(config, directory, data_dir, not no_fallback, overwrite, tensorboard)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    data_dir: DataDirOption = None,
) -> None:
    """Write RUN/report.html: one self-contained page with everything the run has learned.

    **Example**

    - `digitvae report runs/map`
    """
    _report(run, data_dir)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Run directory.")] = Path("runs/demo"),
    epochs: Annotated[int | None, typer.Option(help="Passes over the training digits.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train the default recipe on the digits that come with the package, and write a report. Needs no network.

    **Example**

    - `digitvae demo`
    """
    from digitvae.rundir import RunDirectory

    there = RunDirectory(out)
    if there.state_file.is_file() and not overwrite:
        outcome = _resume(out, None, None, None, True, epochs, demo=True)
    else:
        settings = [*_as_settings("mnist-5k", epochs, None, None), f"data.augmentation={DEMO_AUGMENTATION}"]
        config = load_recipe("map").with_settings(settings)
        outcome = _train(config, out, None, True, overwrite, demo=True)
    if outcome.complete:
        _report(out, None)


def _as_settings(data: str | None, epochs: int | None, seed: int | None, snapshots: str | None) -> list[str]:
    """The options that are short names of settings."""
    given = {"data.name": data and f"'''{data}'''", "training.epochs": epochs, "training.seed": seed}
    given["training.snapshots"] = snapshots and f"[{snapshots}]"
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _train(
    config: Config,
    out: Path,
    data_dir: Path | None,
    fallback: bool,
    overwrite: bool,
    tensorboard: bool = False,
    demo: bool = False,
) -> Outcome:
    from digitvae.curves import also_curves
    from digitvae.running import stop_on_signals, train_run
    from digitvae.terminal import ProgressBar

    with together() as team:
        splits = load_data(config.data.name, data_dir, fallback)
        folder = out / CURVES if tensorboard and team.leads else None
        with stop_on_signals() as stop, ProgressBar(screen) as bar, also_curves(folder, bar) as watcher:
            outcome = train_run(config, splits, out, overwrite=overwrite, stop=stop, watcher=watcher, team=team)
        return _finish(outcome, demo)


def _resume(
    out: Path,
    recipe: str | None,
    data: str | None,
    data_dir: Path | None,
    fallback: bool,
    epochs: int | None,
    tensorboard: bool = False,
    demo: bool = False,
) -> Outcome:
    from digitvae.curves import also_curves
    from digitvae.rundir import RunDirectory
    from digitvae.running import resume_run, stop_on_signals
    from digitvae.terminal import ProgressBar

    with together() as team:
        splits = load_data(data or RunDirectory(out).data_name(), data_dir, fallback)
        folder = out / CURVES if tensorboard and team.leads else None
        with stop_on_signals() as stop, ProgressBar(screen) as bar, also_curves(folder, bar) as watcher:
            outcome = resume_run(out, splits, recipe=recipe, epochs=epochs, stop=stop, watcher=watcher, team=team)
        return _finish(outcome, demo)


def _finish(outcome: Outcome, demo: bool) -> Outcome:
    """Say how the run ended and what comes next; the demonstration goes on to its report by itself."""
    where = outcome.run.path
    if not outcome.complete:
        again = f"digitvae demo --out {where}" if demo else f"digitvae train --out {where} --resume"
        screen.print(
            f"Stopped after epoch {outcome.epoch} and saved. Go on with:\n  {again}", soft_wrap=True, markup=False
        )
        raise typer.Exit(130)
    screen.print(
        f"Trained {outcome.epoch} epochs. Lowest validation loss: {outcome.best_loss:.2f} nats per image, "
        f"at epoch {outcome.best_epoch}. Run: {where}",
        soft_wrap=True,
        markup=False,
    )
    if not demo:
        screen.print(f"See what it has learned: digitvae report {where}", soft_wrap=True, markup=False)
    return outcome


def _report(path: Path, data_dir: Path | None) -> None:
    from digitvae.report import write_report
    from digitvae.rundir import RunDirectory

    run = RunDirectory(path)
    splits = load_data(run.data_name(), data_dir, fallback=False)
    if splits.sha256 != run.manifest()["data"]["sha256"]:
        raise RunError(f"{path} was trained on other digits than {run.data_name()} holds now; bring those back.")
    with screen.status("Writing the report") as status:
        written = write_report(run, splits, notify=lambda text: status.update(text))
    screen.print(f"Report: {written}", soft_wrap=True)
