"""What a page is made of: pictures with their words, and tables."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from matplotlib.figure import Figure

from digitvae.figures import to_svg


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        name: What it is called where it is folded away.
        caption: What it shows, and of which data.
        head: The names of the columns.
        rows: Their cells as text; the first of each row names it.
        words: Whether its cells are sentences, not numbers.
        left: How many of its columns, 1 or 2, hold names.
    """

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False
    left: int = 1


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        src: The picture itself, as a ``data:`` URI.
        width: Its width in CSS pixels.
        height: Its height in CSS pixels.
        title: Its name, in a few words.
        alt: What is seen, for those who cannot see it.
        caption: What it means, and of which data.
        tables: The numbers behind it.
        ink: Whether it is drawn in ink on nothing, so that a dark page may turn it over.
    """

    src: str
    width: int
    height: int
    title: str
    alt: str
    caption: str
    tables: Sequence[Table] = ()
    ink: bool = True


def picture(figure: Figure, title: str, alt: str, caption: str, tables: Sequence[Table] = ()) -> Picture:
    """A figure as a part of the page."""
    width, height = figure.get_size_inches() * 96
    return Picture(svg_uri(to_svg(figure)), round(width), round(height), title, alt, caption, tables)


def svg_uri(svg: str) -> str:
    """An SVG as a ``data:`` URI.

    Percent signs are spent only where they must be, which is a quarter shorter than base64.
    """
    text = re.sub(r"\s*\n\s*", " ", svg.replace('"', "'"))
    # matplotlib breaks base64 into lines; the browser passes over white space in it, but it costs bytes.
    text = re.sub(r"(?<=base64,)[^']+", lambda m: m[0].replace(" ", ""), text)
    return "data:image/svg+xml," + quote(text, safe=" !$'()*+,-./:;=?@[]_~{}|^")


def image_uri(content: bytes, kind: str) -> str:
    """A picture file as a ``data:`` URI; `kind` is such as ``gif``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table, with a true minus sign; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def listed(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    >>> listed(["one", "two", "three"])
    'one, two and three'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(42.4), duration(3725)
    ('42 s', '62 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
