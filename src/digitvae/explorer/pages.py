"""The files of the page, read from the package once."""

from __future__ import annotations

from importlib import resources

TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""Media types by ending."""


def page_files() -> dict[str, bytes]:
    """The files of the page by name; what a client asks for is looked up here, and no path is ever opened."""
    folder = resources.files("digitvae") / "explorer" / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES}
