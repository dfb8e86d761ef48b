"""The command line: parse, call, exit. Imports that take long happen inside the commands, so that help is quick."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import typer

from digitvae.cli import (  # noqa: F401  (they add their commands to the application)
    certifying,
    checking,
    comparing,
    datasets,
    drawing,
    exploring,
    exporting,
    learning,
    measuring,
    styling,
)
from digitvae.cli.app import app, screen
from digitvae.errors import DigitVAEError, TrainingDivergedError


def main() -> None:
    """Run the command line; an error that digitvae foresaw is one sentence and exit code 2 (1 for divergence)."""
    with contextlib.suppress(ValueError):  # raised where this is not the main thread, which signals come to
        # SIGTERM ends a command as Ctrl-C does, so that it takes away what it has half written.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # Threads of torch.distributed that wake up while Python takes itself apart abort a process that is done.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def _run() -> None:
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
    except SystemExit as end:
        # Typer makes an exit of a KeyboardInterrupt, and says nothing; commands that end so themselves have spoken.
        cause = end.__context__
        if isinstance(cause, typer.Exit) and isinstance(cause.__cause__, KeyboardInterrupt):
            screen.print("Interrupted.")
        raise
