"""The errors that digitvae raises on purpose.

Each message is one clear sentence that says what is wrong and what to do. The command line prints it and exits
with code 2; the Python API raises it.
"""


class DigitVAEError(Exception):
    """Base class of every error that digitvae raises on purpose."""


class InputError(DigitVAEError, ValueError):
    """What the user gave (a setting, a file, a folder) cannot be used."""


class ConfigError(InputError):
    """An unknown or impossible recipe, setting or value."""


class DataError(InputError):
    """Digits that cannot be read, found or trusted."""


class RunError(InputError):
    """A run directory or model folder that is missing, in the way, damaged or of another kind."""


class TrainingDivergedError(DigitVAEError):
    """Training produced a number that is not finite, or a loss that exploded."""
