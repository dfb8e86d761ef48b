"""Numbers to be written: post codes, amounts, dates, telephone numbers, or whatever a regular expression says."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from digitvae.errors import InputError
from digitvae.handwriting import CHARACTERS, DIGITS
from digitvae.studio import stream

if TYPE_CHECKING:
    from rstr.xeger import Xeger

LONGEST = 60
"""Characters of a text that a regular expression may give; longer ones are drawn anew."""

OPEN_REPEATS = 8
"""Times that what stands before an open repeat (``*``, ``+``, ``{2,}``) comes at most, or as often as it must."""

TRIES = 200
"""Draws from a regular expression before it is given up."""

_EARLIEST, _LATEST = date(1950, 1, 1), date(2049, 12, 31)


def _zip(rng: np.random.Generator) -> str:
    return f"{rng.integers(100_000):05d}"


def _amount(rng: np.random.Generator) -> str:
    """From 1.00 to 99,999.99; small ones are as frequent as large ones."""
    return f"{min(99_999.99, float(np.exp(rng.uniform(0, np.log(100_000))))):,.2f}"


def _date(rng: np.random.Generator) -> str:
    return (_EARLIEST + timedelta(int(rng.integers((_LATEST - _EARLIEST).days + 1)))).isoformat()


def _phone(rng: np.random.Generator) -> str:
    area, exchange = rng.integers(200, 1000, 2)
    return f"({area}) {exchange}-{rng.integers(10_000):04d}"


PATTERNS: dict[str, Callable[[np.random.Generator], str]] = {
    "zip": _zip,
    "amount": _amount,
    "date": _date,
    "phone": _phone,
}
"""The patterns that have names: each makes a text from random numbers."""


def texts(pattern: str, count: int, seed: int = 0, first: int = 0) -> Iterator[str]:
    """Texts of a pattern; text number `first + i` of a seed is always the same.

    Args:
        pattern: A name in `PATTERNS`, or a regular expression, which is matched as a whole.
        count: How many.
        seed: Seed of all of them.
        first: The number of the first.

    Raises:
        InputError: If the expression is none, or matches nothing that can be written.

    >>> list(texts("date", 2))
    ['2001-11-14', '1957-06-03']
    >>> list(texts("[1-3]{2}/7", 2))
    ['23/7', '31/7']
    """
    make = PATTERNS.get(pattern)
    compiled = None if make else _compiled(pattern)
    for number in range(first, first + count):
        rng = stream(seed, "texts", number)
        yield make(rng) if make else _matching(pattern, compiled, rng)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        names = ", ".join(PATTERNS)
        raise InputError(f"'{pattern}' is neither {names} nor a regular expression ({error}).") from error


def _maker(source: random.Random) -> Xeger:
    from rstr.xeger import Xeger

    class Short(Xeger):
        """Texts that fit a line, of what can be written.

        The library repeats up to a hundred times, so that hardly a text with two open repeats would fit. It draws from
        all that can be printed, so that hardly a text of `....` could be written, and keeps some of that in sets,
        whose order, and so the texts of a seed, differs from process to process.
        """

        def __init__(self, source: random.Random) -> None:
            signs = "".join(character for character in CHARACTERS if character not in DIGITS)
            super().__init__(source, printable=CHARACTERS, nondigits=signs, nonword=signs)
            others = {"not_literal": lambda code: self._one_of(CHARACTERS.replace(chr(code), ""))}
            self._cases = {**self._cases, **others}

        def _one_of(self, characters: Iterable[str]) -> str:
            # Where none of them can be written, another branch of the expression may do: the text is drawn anew.
            return self._random.choice([each for each in characters if each in CHARACTERS] or ["\0"])

        def _handle_in(self, value: Any) -> str:
            named = list(chain.from_iterable(self._handle_state(state) for state in value))
            if named[0] is not False:  # which stands for the ^ of [^...]
                return self._one_of(named)
            refused = set(named[1:])
            return self._one_of(character for character in CHARACTERS if character not in refused)

        def _handle_repeat(self, start_range: int, end_range: int, value: Any) -> str:
            most = end_range if end_range <= LONGEST else max(start_range, OPEN_REPEATS)
            return super()._handle_repeat(start_range, most, value)

    return Short(source)


def _matching(pattern: str, compiled: re.Pattern[str] | None, rng: np.random.Generator) -> str:
    assert compiled is not None
    maker = _maker(random.Random(int(rng.integers(2**63))))
    for _ in range(TRIES):
        try:
            text = maker.xeger(pattern)
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, RecursionError):
            break  # something in the expression that the library cannot make texts of
        if text.strip() and len(text) <= LONGEST and set(text) <= set(CHARACTERS) and compiled.fullmatch(text):
            return text
    raise InputError(
        f"No text of '{pattern}' can be written: it must match 1 to {LONGEST} of the characters {CHARACTERS.strip()} "
        "and spaces."
    )
