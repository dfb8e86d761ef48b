"""The run directory: where training leaves its files and every later stage finds them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitvae.config import Config, load_recipe
from digitvae.errors import ConfigError, RunError

PRETRAINED = Path(__file__).parent / "pretrained"
"""Where the models lie that come with the package."""

DATA: dict[str, type] = {"name": str, "sha256": str, "caption": str, "notes": list, "training": int, "validation": int}
"""What a manifest says of the digits, and of which type it is."""


@dataclass(frozen=True)
class RunDirectory:
    """Names and readers of the files of one run.

    Attributes:
        path: The directory, such as ``runs/demo``.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The fully resolved recipe, TOML."""
        return self.path / "config.toml"

    @property
    def manifest_file(self) -> Path:
        """Data hash, seeds, versions, device, command; JSON."""
        return self.path / "manifest.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON line per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def state_file(self) -> Path:
        """Everything that training needs to go on."""
        return self.path / "checkpoints" / "last" / "training.safetensors"

    @property
    def best(self) -> Path:
        """Model folder of the epoch with the lowest validation loss."""
        return self.path / "checkpoints" / "best"

    @property
    def evaluation_file(self) -> Path:
        """The measures, JSON."""
        return self.path / "evaluation.json"

    @property
    def report_file(self) -> Path:
        """The report, HTML."""
        return self.path / "report.html"

    def snapshot(self, epoch: int) -> Path:
        """Model folder as it was after `epoch`, with the figures of that epoch."""
        return self.path / "snapshots" / f"epoch-{epoch:04d}"

    def snapshot_epochs(self) -> list[int]:
        """Epochs of which a whole snapshot exists, in order."""
        found = self.path.glob("snapshots/epoch-*/config.json")
        return sorted(int(f.parent.name.removeprefix("epoch-")) for f in found if f.parent.name[6:].isdigit())

    def is_barren(self) -> bool:
        """Whether it holds only what a run writes before its first training state, and so nothing to lose.

        That is a recipe of ours, or a half-written one, which nothing else is called.
        """
        recipe, manifest, state = (file.name for file in (self.config_file, self.manifest_file, self.state_file))
        if not self.config_file.is_file():
            return (self.path / f"{recipe}.part").is_file() and self._holds_only({f"{recipe}.part"})
        return self._has_recipe() and self._holds_only({recipe, manifest, f"{manifest}.part", f"{state}.part"})

    def is_ours(self) -> bool:
        """Whether it is a run, and not a folder of something else that has a ``config.toml`` too."""
        try:
            return self._has_recipe() and (self.state_file.is_file() or bool(self.manifest()))
        except RunError:
            return False

    def _has_recipe(self) -> bool:
        try:
            load_recipe(str(self.config_file))
        except ConfigError:
            return False
        return True

    def _holds_only(self, names: set[str]) -> bool:
        """Whether all files have one of these names; it looks no further than to the first that has not."""
        return all(path.is_dir() or path.name in names for path in self.path.rglob("*"))

    def config(self) -> Config:
        """The recipe of the run.

        Raises:
            RunError: If this is not a run directory, or it was killed before anything was saved.
        """
        if self.is_barren():
            raise RunError(f"{self.path} was stopped before anything was saved; start it again, without --resume.")
        if not self.config_file.is_file():
            raise RunError(f"{self.path} is not a run directory: it has no config.toml.")
        return load_recipe(str(self.config_file))

    def manifest(self) -> dict[str, Any]:
        """The facts that make the run repeatable: ``data`` (see `DATA`), ``seed``, ``sessions`` and others.

        Raises:
            RunError: If the file is missing or damaged.
        """
        try:
            content = json.loads(self.manifest_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{self.path} is not a run directory: it has no manifest.json.") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.manifest_file} is damaged; train again.") from error
        if not (
            isinstance(content, dict)
            and isinstance(content.get("seed"), int)
            and isinstance(content.get("sessions"), list)
            and all(isinstance(session, dict) for session in content["sessions"])
            and is_data(content.get("data"))
        ):
            raise RunError(f"{self.manifest_file} is damaged; train again.")
        return content

    def data_name(self) -> str:
        """The data that gives the run's digits again: its path, or the MNIST set that was really used.

        A run asked for ``mnist`` without a network has trained on ``mnist-5k``; only the manifest knows.

        Raises:
            RunError: If this is not a run directory.
        """
        asked = self.config().data.name
        return str(self.manifest()["data"]["name"]) if asked in ("mnist", "mnist-5k") else asked

    def metrics(self) -> list[dict[str, Any]]:
        """What was measured after each epoch, in order.

        Raises:
            RunError: If the file is missing or a line is torn.
        """
        try:
            lines = self.metrics_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no metrics.jsonl: no epoch is finished yet.") from error
        records = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                record["epoch"], record["train"]["loss"], record["validation"]["loss"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise RunError(
                    f"{self.metrics_file}, line {number} is torn; delete that line, or go on with the run "
                    f"(`digitvae train --out {self.path} --resume`), which writes it again."
                ) from error
            records.append(record)
        return records

    def keep_metrics_to(self, epoch: int) -> None:
        """Drop lines after `epoch` (and a torn last line): those epochs were lost and will be written again.

        Raises:
            RunError: If a line up to `epoch` is missing or torn.
        """
        kept = []
        text = self.metrics_file.read_text(encoding="utf-8", errors="replace") if self.metrics_file.exists() else ""
        for number, line in enumerate(text.splitlines()[:epoch], 1):
            try:
                if json.loads(line)["epoch"] != number:
                    raise ValueError(line)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise RunError(
                    f"{self.metrics_file}, line {number} is torn, though that epoch was saved; "
                    "restore the file from a copy or start the run again."
                ) from error
            kept.append(line + "\n")
        if len(kept) < epoch:
            raise RunError(f"{self.metrics_file} ends before epoch {epoch}; restore it or start the run again.")
        write_aside(self.metrics_file, "".join(kept))

    def add_metrics(self, record: dict[str, Any]) -> None:
        """Append one epoch's line, and see that it is on the disk."""
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


def is_data(value: object) -> bool:
    """Whether it is what a manifest says of the digits."""
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in DATA.items())


def shipped_models() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted(folder.parent.name for folder in PRETRAINED.glob("*/config.json"))


def find_model(name: str) -> Path:
    """The model folder that a user means by the name of a run directory, a model folder or a shipped model.

    What lies under that name where the user stands comes first.

    Raises:
        RunError: If there is none of them, or the run has no finished epoch yet.
    """
    path = Path(name)
    run = RunDirectory(path)
    if run.config_file.is_file():
        # A run that was killed while it put a new model in the place of the old one has left that beside.
        for folder in (run.best, run.best.with_name(f"{run.best.name}.old")):
            if (folder / "config.json").is_file():
                return folder
        raise RunError(f"{path} has no model yet: no epoch is finished.")
    if (path / "config.json").is_file():
        return path
    if name in shipped_models():
        return PRETRAINED / name
    shipped = ", ".join(shipped_models())
    raise RunError(f"{path} is neither a run directory nor a model folder, nor one that comes along ({shipped}).")


def write_aside(path: Path, text: str) -> None:
    """Write a text file in one step: readers see the old content or the new, never half of it.

    Raises:
        RunError: If it cannot be written.
    """
    aside = path.with_name(path.name + ".part")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"Cannot write {path}: {error.strerror or error}.") from error
