"""digitvae: variational autoencoders for handwritten digits.

What most people need is here, and is imported when it is first asked for: drawing needs no PyTorch, and importing the
package alone is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["DigitVAE", "Studio", "from_pretrained", "push_to_hub", "sample", "save_pretrained", "write"]

if TYPE_CHECKING:
    from digitvae.estimator import DigitVAE
    from digitvae.generation import sample
    from digitvae.handwriting import write
    from digitvae.hub import from_pretrained, push_to_hub, save_pretrained
    from digitvae.studio import Studio

_HOMES = {
    "DigitVAE": "estimator",
    "Studio": "studio",
    "from_pretrained": "hub",
    "push_to_hub": "hub",
    "sample": "generation",
    "save_pretrained": "hub",
    "write": "handwriting",
}


def __getattr__(name: str) -> object:
    """A public name, from the module where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'digitvae' has no attribute {name!r}")
    value = getattr(import_module(f"digitvae.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
