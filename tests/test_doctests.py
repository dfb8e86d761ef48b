"""Examples in docstrings run, and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import digitvae

NAMES = [m.name for m in pkgutil.walk_packages(digitvae.__path__, "digitvae.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = sum(len(t.examples) for name in NAMES for t in finder.find(importlib.import_module(name)))
    assert examples >= 10
