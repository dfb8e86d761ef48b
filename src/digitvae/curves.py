"""A run's curves for TensorBoard, beside its own files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitvae.config import Config
from digitvae.errors import InputError
from digitvae.running import Watcher

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class CurvesWatcher(Watcher):
    """Writes each epoch's terms as TensorBoard reads them, and passes on what it is told.

    Args:
        folder: Where to write; ``tensorboard --logdir`` takes it.
        watcher: Who else is told.

    Raises:
        InputError: If the extra ``tensorboard`` is not installed.
    """

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("Curves for TensorBoard need the extra: pip install 'digitvae[tensorboard]'.") from error
        self.folder, self.watcher = folder, watcher
        self._make = SummaryWriter
        self._writer: SummaryWriter | None = None

    def started(self, config: Config, epoch: int, steps: int) -> None:
        """Begin to write; what an earlier session wrote of later epochs no longer counts."""
        self._writer = self._make(str(self.folder), purge_step=epoch + 1)
        self.watcher.started(config, epoch, steps)

    def stepped(self, epoch: int, step: int) -> None:
        """Nothing is written within an epoch."""
        self.watcher.stepped(epoch, step)

    def measured(self, record: dict[str, Any]) -> None:
        """Write the terms of training and validation in nats per image, learning rate, beta and speed."""
        assert self._writer is not None
        for name in ("loss", "rate", "distortion"):
            for part in ("train", "validation"):
                self._add(f"{name}/{part}", record[part][name], record["epoch"])
        for name in ("learning_rate", "beta", "images_per_second"):
            self._add(name, record[name], record["epoch"])
        self._writer.flush()
        self.watcher.measured(record)

    def said(self, text: str) -> None:
        """Pass it on."""
        self.watcher.said(text)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, name: str, value: float, epoch: int) -> None:
        assert self._writer is not None
        self._writer.add_scalar(name, value, epoch)


@contextlib.contextmanager
def also_curves(folder: Path | None, watcher: Watcher) -> Iterator[Watcher]:
    """The watcher, with curves in `folder` where there is one.

    Raises:
        InputError: If the extra ``tensorboard`` is not installed.
    """
    if folder is None:
        yield watcher
        return
    curves = CurvesWatcher(folder, watcher)
    try:
        yield curves
    finally:
        curves.close()
