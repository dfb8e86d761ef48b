"""Tables in README and docs come from the files that the benchmarks write, and from nowhere else."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
tables = pytest.importorskip("benchmarks.tables")


@pytest.mark.parametrize("place", tables.PLACES)
def test_every_table_says_what_its_file_says(place):
    text = (ROOT / place).read_text(encoding="utf-8")
    assert tables.MARK.search(text)
    assert tables.fill(text) == text, "run `make results`"


def test_only_what_is_marked_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "table", lambda name: f"the table of {name}\n")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    (tmp_path / "one.json").write_text("{}")
    text = "before\n<!-- table: one -->\nold\n<!-- end -->\nafter | 1 |\n"
    assert tables.fill(text) == "before\n<!-- table: one -->\nthe table of one\n<!-- end -->\nafter | 1 |\n"
