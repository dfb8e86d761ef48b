"""A run from start to end: its directory, its sessions, what is saved when, and how it goes on after a stop."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from digitvae.checkpoint import load_state, put_back, save_model, save_state
from digitvae.config import Config
from digitvae.data import Splits
from digitvae.errors import RunError
from digitvae.hub import card_data, card_header
from digitvae.machine import machine_facts
from digitvae.processes import ALONE, Team
from digitvae.rundir import RunDirectory, write_aside
from digitvae.training import Trainer

COLLAPSED = 0.01
"""A latent dimension with a lower rate than this, in nats per image, carries nothing: it has collapsed."""


AT_ONCE = 0.5
"""Seconds within which a second signal to stop is taken for the first one."""


class Watcher:
    """Told what happens during a run; does nothing. The command line draws its progress bar in a subclass."""

    def started(self, config: Config, epoch: int, steps: int) -> None:
        """Training begins after `epoch` finished epochs; each has `steps` steps."""

    def stepped(self, epoch: int, step: int) -> None:
        """`step` steps of the epoch after `epoch` are done."""

    def measured(self, record: dict[str, Any]) -> None:
        """An epoch is finished; `record` is its line of ``metrics.jsonl``."""

    def said(self, text: str) -> None:
        """Something that the user should read, in a sentence."""


@dataclass(frozen=True)
class Outcome:
    """How a call of `train_run` or `resume_run` ended.

    Attributes:
        run: The run directory.
        epoch: Finished epochs.
        complete: Whether training is over: all epochs are done, or it was stopped by the recipe's patience.
        best_epoch: Epoch with the lowest validation loss, whose weights are in ``checkpoints/best``.
        best_loss: That loss, in nats per image.
    """

    run: RunDirectory
    epoch: int
    complete: bool
    best_epoch: int
    best_loss: float


def train_run(
    config: Config,
    splits: Splits,
    out: Path,
    *,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
    team: Team = ALONE,
) -> Outcome:
    """Train a recipe into a new run directory.

    Args:
        config: The recipe.
        splits: Digits to train on and to validate with.
        out: The run directory to make.
        overwrite: Remove a run that is there already; never a folder of something else.
        stop: Asked after each step; where it answers True, the run is saved as it stands and left.
        watcher: Told what happens.
        team: The processes that train together; the one that leads writes the files.

    Raises:
        RunError: If `out` exists, or cannot be written.
        TrainingDivergedError: If the loss is not finite, or explodes; the last finished epoch is kept.
    """
    run = RunDirectory(out)
    splits = _trained_on(config, splits)
    trainer = _trainer(config, splits, team)
    if team.leads:
        prepare_directory(out, overwrite)
        write_aside(run.config_file, config.to_toml())
    manifest = {
        "format": 1,
        "recipe": config.recipe,
        "data": {
            "name": splits.name,
            "sha256": splits.sha256,
            "caption": splits.caption,
            "notes": list(splits.notes),
            "training": len(splits.train),
            "validation": len(splits.validation),
        },
        "seed": config.training.seed,
        "sessions": [],
    }
    return _session(run, config, manifest, trainer, stop, watcher or Watcher())


def resume_run(
    out: Path,
    splits: Splits,
    *,
    recipe: str | None = None,
    epochs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
    team: Team = ALONE,
) -> Outcome:
    """Go on with a run that was stopped: on the CPU bit for bit as if it had not been.

    Args:
        out: The run directory.
        splits: The same digits that the run began with.
        recipe: Where given, the recipe that the run must be of.
        epochs: A new number of epochs; the rest is then trained with a new learning-rate schedule.
        stop: As in `train_run`.
        watcher: Told what happens.
        team: As in `train_run`.

    Raises:
        RunError: If it is not a run, belongs to another recipe or other digits, or is damaged.
        TrainingDivergedError: If the loss is not finite, or explodes.
    """
    watcher = watcher or Watcher()
    run = RunDirectory(out)
    config, manifest = run.config(), run.manifest()
    if recipe is not None and recipe != config.recipe:
        raise RunError(f"{out} is a run of recipe '{config.recipe}', not '{recipe}'; leave the recipe out to go on.")
    if splits.sha256 != manifest["data"]["sha256"]:
        raise RunError(
            f"{out} began with {manifest['data']['caption']} (SHA-256 {manifest['data']['sha256'][:12]}), and the "
            f"digits given now are others ({splits.sha256[:12]}); give --data and --data-dir as then."
        )
    tensors, facts = load_state(run.state_file)
    if epochs is not None and epochs != config.training.epochs:
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))
        done = facts.get("epoch")
        if not isinstance(done, int):
            raise RunError(f"{run.state_file} is damaged; restore it from a copy or train again.")
        if epochs <= done:
            raise RunError(f"{out} has {done} epochs already; --epochs must be more than that.")
        facts["schedule_start"] = done
        watcher.said(f"The plan is now {epochs} epochs: from epoch {done + 1} on a new learning-rate schedule runs.")
    splits = _trained_on(config, splits)
    trainer = _trainer(config, splits, team)
    trainer.load_state(tensors, facts)
    team.wait()  # all have read what is now written anew
    if team.leads:
        put_back(run.best)
        run.keep_metrics_to(trainer.progress.epoch)
        if config != run.config():  # the state first: a plan without it would begin its schedule at epoch 0
            save_state(run.state_file, *trainer.state())
        write_aside(run.config_file, config.to_toml())
    return _session(run, config, manifest, trainer, stop, watcher)


def _trainer(config: Config, splits: Splits, team: Team) -> Trainer:
    train, validation = splits.train, splits.validation
    return Trainer(config, train.images, validation.images, labels=(train.labels, validation.labels), team=team)


def _trained_on(config: Config, splits: Splits) -> Splits:
    """The digits as the recipe wants them: with those of validation among those trained on, or as they are."""
    if config.data.train_on == "training":
        return splits
    note = "The validation digits are among those trained on: the validation loss is seen in training."
    together = splits.train.followed_by(splits.validation)
    return dataclasses.replace(splits, train=together, notes=(*splits.notes, note))


def prepare_directory(out: Path, overwrite: bool) -> None:
    """Make the directory of a new run; one that was killed before it had saved anything is taken for none.

    Raises:
        RunError: If it exists and is not empty and `overwrite` is not set, or is not a run, or cannot be made.
    """
    run = RunDirectory(out)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not overwrite and not (out.is_dir() and run.is_barren()):
                raise RunError(
                    f"{out} exists; name another --out, go on with it (--resume), or replace it (--overwrite)."
                )
            if not run.is_ours() and not run.is_barren():
                raise RunError(f"{out} is not a run directory, so it is not overwritten; name another --out.")
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make {out}: {error.strerror or error}.") from error


def _session(
    run: RunDirectory,
    config: Config,
    manifest: dict[str, Any],
    trainer: Trainer,
    stop: Callable[[], bool],
    watcher: Watcher,
) -> Outcome:
    """Train until all epochs are done or something says stop, and save what later stages need."""
    settings, progress, team = config.training, trainer.progress, trainer.team

    def ended() -> bool:
        patient = settings.patience and progress.epoch - progress.best_epoch >= settings.patience
        return progress.epoch >= settings.epochs or bool(patient and progress.epoch)

    if ended():
        watcher.said(
            f"{run.path} is trained to its end, {progress.epoch} epochs; --epochs with a larger number adds more."
        )
        return Outcome(run, progress.epoch, True, progress.best_epoch, progress.best_loss)
    session = {
        **machine_facts(),
        "device": str(trainer.device),
        "precision": trainer.precision,
        "processes": team.size,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_epoch": progress.epoch,
    }
    manifest["sessions"].append(session)
    began = time.perf_counter()

    facts = {"data": manifest["data"]}

    def note_session() -> None:
        if not team.leads:
            return
        session["to_epoch"] = progress.epoch
        session["seconds"] = round(time.perf_counter() - began, 3)
        write_aside(run.manifest_file, json.dumps(manifest, indent=2) + "\n")

    def save() -> None:
        if team.leads:
            save_state(run.state_file, *trainer.state())

    def keep(record: dict[str, Any]) -> None:
        is_snapshot = progress.epoch in settings.snapshot_epochs()
        card = model_card(config, manifest, record)
        if progress.best_epoch == progress.epoch:
            save_model(run.best, trainer.trained_model, config, card, facts)
        if is_snapshot or ended():
            save_model(run.snapshot(progress.epoch), trainer.trained_model, config, card, facts)
        # The line comes before the state: if the process dies between the two, the epoch is run, and its line
        # written, again.
        _add_metrics(run, record)
        save()
        note_session()
        if is_snapshot:
            _warn_of_collapse(record, watcher)
        watcher.measured(record)

    def asked_to_stop() -> bool:
        watcher.stepped(progress.epoch, progress.step)
        return stop()

    note_session()
    if progress.epoch == 0 and progress.step == 0:
        save()
    watcher.started(config, progress.epoch, trainer.steps_per_epoch)
    while not ended():
        if team.any(stop()) or not trainer.train_epoch(asked_to_stop):
            break
        record = _measure(trainer)
        if team.leads:
            keep(record)
    if progress.step or not ended():
        save()
    note_session()
    return Outcome(run, progress.epoch, ended(), progress.best_epoch, progress.best_loss)


def _measure(trainer: Trainer) -> dict[str, Any]:
    """Validate, keep count of the best epoch, and give the epoch's line of ``metrics.jsonl``."""
    progress = trainer.progress
    validation = trainer.validate()
    if validation["loss"] < progress.best_loss:
        progress.best_loss, progress.best_epoch = validation["loss"], progress.epoch
    seconds = progress.epoch_seconds
    return {
        "epoch": progress.epoch,
        "train": progress.sums.means(),
        "validation": validation,
        "learning_rate": trainer.learning_rate,
        "beta": trainer.beta,
        "seconds": round(seconds, 4),
        "images_per_second": round(progress.sums.images / seconds, 1),
    }


def _warn_of_collapse(record: dict[str, Any], watcher: Watcher) -> None:
    rates = record["validation"]["rate_per_dimension"] or []
    gone = [str(i + 1) for i, rate in enumerate(rates) if rate < COLLAPSED]
    if gone:
        watcher.said(
            f"Latent dimension {', '.join(gone)} has collapsed (rate under {COLLAPSED} nats at epoch "
            f"{record['epoch']}): its codes say nothing about the image. A lower training.beta, or a longer "
            "training.beta_warmup, may wake it."
        )


def _add_metrics(run: RunDirectory, record: dict[str, Any]) -> None:
    try:
        run.add_metrics(record)
    except OSError as error:
        raise RunError(f"Cannot write {run.metrics_file}: {error.strerror or error}.") from error


def model_card(config: Config, manifest: dict[str, Any], record: dict[str, Any]) -> str:
    """The README of a model folder: what it is, its data, its measures, its limits and terms."""
    data, validation = manifest["data"], record["validation"]
    return f"""{card_header(data["name"])}# digitvae model: recipe `{config.recipe}`, epoch {record["epoch"]}

{config.description} A VAE for 28 x 28 images of handwritten digits with {config.model.latent_dim} latent dimensions.

{card_data(data, manifest["seed"])}
- **Validation**, nats per image, binarization `{config.data.binarization}`: loss {validation["loss"]:.2f},
  rate {validation["rate"]:.2f}, distortion {validation["distortion"]:.2f} (one code per image).
- **Limits**: it knows single, centred, light-on-dark digits fitted as MNIST was made, and nothing else. Generated
  digits can be illegible or of another class than asked for.
- **Terms**: the weights are under the MIT licence.

Load it with `digitvae.from_pretrained(folder)`.
"""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C (or SIGTERM) only makes the given function answer True; a second one interrupts."""
    asked, first = threading.Event(), 0.0
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        # torchrun passes on at once what the terminal has told its processes already.
        if asked.is_set() and now - first > AT_ONCE:
            raise KeyboardInterrupt
        first = first if asked.is_set() else now
        asked.set()

    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
