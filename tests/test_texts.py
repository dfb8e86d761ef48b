"""Texts of every pattern match it and can be written; what cannot be is refused in one sentence."""

import os
import re
import subprocess
import sys
from datetime import date

import pytest

from digitvae.errors import InputError
from digitvae.handwriting import CHARACTERS
from digitvae.texts import OPEN_REPEATS, PATTERNS, texts

SHAPES = {
    "zip": r"\d{5}",
    "amount": r"[1-9]\d{0,2}(,\d{3})*\.\d{2}",
    "date": r"\d{4}-\d{2}-\d{2}",
    "phone": r"\([2-9]\d{2}\) [2-9]\d{2}-\d{4}",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_named_patterns_have_their_shape(name):
    found = list(texts(name, 300))
    assert all(re.fullmatch(SHAPES[name], text) for text in found)
    assert all(set(text) <= set(CHARACTERS) for text in found)
    assert len(set(found)) > 250


def test_dates_are_days_that_there_were():
    assert all(1950 <= date.fromisoformat(text).year < 2050 for text in texts("date", 300))


def test_small_amounts_are_as_frequent_as_large_ones():
    values = [float(text.replace(",", "")) for text in texts("amount", 2000)]
    below = sum(value < 316.23 for value in values) / len(values)
    assert below == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("pattern", [r"\d{3}-\d{2}", r"(19|20)\d\d/(0[1-9]|1[0-2])", r"[+-]?\d+", r"\(\d\):\d"])
def test_regular_expressions_are_matched_as_a_whole(pattern):
    assert all(re.fullmatch(pattern, text) for text in texts(pattern, 50))


def test_open_repeats_are_short_and_fit_the_line():
    found = list(texts(r"[0-9]+,[0-9]+,[0-9]+\.[0-9]+", 2000))
    assert max(map(len, found)) <= 4 * OPEN_REPEATS + 3
    assert {len(text) for text in texts(r"\d{1,20}", 2000)} == set(range(1, 21))  # what is said to end is not cut


@pytest.mark.parametrize("pattern", [r"\w{4}", "....", "[^5]{8}", r"\W\S|[a-z0-9]"])
def test_classes_hold_what_can_be_written_alone(pattern):
    """Else most of their texts would have letters, and be given up as impossible midway."""
    assert len(set(texts(pattern, 2000))) > 30


def test_texts_do_not_depend_on_how_a_process_hashes():
    code = "from digitvae.texts import texts; print(list(texts(r'[^5]{9}[^a\\d]\\W\\D', 20)))"
    said = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert said[0].returncode == 0, said[0].stderr
    assert said[0].stdout == said[1].stdout


def test_texts_repeat_and_can_be_made_apart():
    whole = list(texts(r"\d{8}", 20, seed=3))
    assert whole == list(texts(r"\d{8}", 20, seed=3))
    assert whole[5:12] == list(texts(r"\d{8}", 7, seed=3, first=5))
    assert whole != list(texts(r"\d{8}", 20, seed=4))


@pytest.mark.parametrize(
    "pattern", ["[a-z]+", "", " +", "(", "1(?=2)", r"\d{80}", r"\d{99999999999}", "date2|x", r"(?P<x>a)(?P=y)"]
)
def test_what_cannot_be_written_is_refused(pattern):
    with pytest.raises(InputError, match=r"can be written|regular expression"):
        list(texts(pattern, 3))
