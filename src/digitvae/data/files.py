"""Opening files with clear errors, reading no more than is due, writing aside before replacing; cores to do it with."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from digitvae.errors import DataError, RunError

MAX_BYTES = 2**30
"""The most that one array or file may take in memory: 1 GiB, or 1.3 million digits."""

MAX_DEFLATE_RATIO = 1032
"""Deflate cannot shrink anything more often than this: the size of a gzip or PNG file bounds what it can hold."""

_CHUNK = 2**20


class Readable(Protocol):
    """What `read_at_most` needs of a stream: a plain file, a gzip stream, a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


def open_file(path: str | Path) -> IO[bytes]:
    """Open a file for reading in binary; `DataError` when it is missing, a folder or not readable."""
    path = Path(path)
    try:
        # A pipe or a device would block or never end.
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a file: give the path of a file.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the path.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): check the path and its permissions.") from error


def read_at_most(stream: Readable, size: int) -> bytearray:
    """Read up to `size` bytes in small steps, so that memory follows what is there and not what was declared."""
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(min(_CHUNK, size - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def write_aside(path: str | Path, write: Callable[[IO[bytes]], Any], overwrite: bool) -> None:
    """Let `write` fill a file beside `path`, then rename it to `path`: nobody ever sees half a file.

    Missing parent folders are made.

    Raises:
        RunError: when `path` exists and `overwrite` is False, or when it cannot be written.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("xb") as file:
                write(file)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error}): check the folder and the space on its disk.") from error


@contextlib.contextmanager
def folder_aside(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path`, to be filled; it takes that name if all goes well, and is removed if not.

    Raises:
        RunError: when `path` exists, or when it cannot be written.
    """
    path = Path(path)
    refuse_existing(path, None)
    aside = aside_of(path)
    try:
        aside.mkdir(parents=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error}): check the folder and the space on its disk.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def aside_of(path: Path) -> Path:
    """A fresh hidden name in the same folder, so that renaming it to `path` stays on one disk.

    Raises:
        RunError: when `path` ends in no name, such as ``.`` or ``/``.
    """
    if path.name in ("", ".."):
        raise RunError(f"'{path}' has no name of its own: give the name of a new file or folder.")
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def refuse_existing(path: Path, overwrite: bool | None) -> None:
    """Raise `RunError` when `path` exists and may not be replaced, or is something that is never replaced.

    `overwrite` is None where nothing could be replaced even if the user asked for it.
    """
    if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
        raise RunError(f"{path} is a link or a device, which is never replaced: choose another name.")
    if path.exists() and not overwrite:
        other = "" if overwrite is None else ", or replace it with --overwrite"
        raise RunError(f"{path} already exists: choose another name{other}.")


def cores() -> int:
    """Processor cores that this process may use, where the system says so; else all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
