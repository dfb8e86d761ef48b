"""Sets in shards: the same digits as in one file, whoever makes which, and nothing made twice."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands import digitvae
from typer.testing import CliRunner

from digitvae.cli import app
from digitvae.data import load_digits
from digitvae.errors import InputError, RunError
from digitvae.sharding import Shards
from digitvae.studio import CHUNK, chunk_count


@given(st.integers(1, 10**9), st.data())
def test_shards_hold_every_chunk_once_and_in_order(count, data):
    most = min(chunk_count(count), 100_000)
    shards = data.draw(st.integers(1, min(most, 200)))
    plan = Shards(Path("x"), count, shards)
    chunks = [plan.chunks(shard) for shard in range(shards)]
    assert chunks[0].start == 0
    assert chunks[-1].stop == chunk_count(count)
    assert all(a.stop == b.start for a, b in itertools.pairwise(chunks))
    sizes = [plan.size(shard) for shard in range(shards)]
    assert sum(sizes) == count
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 2 * CHUNK


def test_what_makes_no_sense_is_refused(tmp_path):
    for shards in (0, 4, 10**6):
        with pytest.raises(InputError, match="1 to 3 shards"):
            Shards(tmp_path, 3 * CHUNK, shards)


ARGUMENTS = ["generate", "-n", "3500", "--hands", "7", "--seed", "5"]


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "all.parquet"
    assert CliRunner().invoke(app, [*ARGUMENTS, "-o", str(path)]).exit_code == 0
    return pq.read_table(path)


def gathered(folder):
    return [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]


def test_together_they_are_the_set_in_one_file(one_file, tmp_path):
    out = tmp_path / "shards"
    done = CliRunner().invoke(app, [*ARGUMENTS, "--shards", "3", "-o", str(out)])
    assert done.exit_code == 0, done.output
    tables = gathered(out)
    assert [len(table) for table in tables] == [2000, 1000, 500]
    for column in one_file.column_names:
        whole = one_file[column].to_pylist()
        assert [value for table in tables for value in table[column].to_pylist()] == whole


def test_a_stopped_set_goes_on_and_what_is_there_is_not_made_again(one_file, tmp_path):
    out = tmp_path / "shards"
    arguments = [*ARGUMENTS, "--shards", "3", "-o", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    files = sorted(out.glob("*.parquet"))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    files[1].unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert {path: path.read_bytes() for path in files} == {path: content for path, (_, content) in before.items()}
    assert files[0].stat().st_mtime_ns == before[files[0]][0]


def test_what_a_killed_process_has_left_is_taken_away(tmp_path):
    out = tmp_path / "shards"
    out.mkdir()
    (out / ".digits-00000-of-00001.parquet.0123abcd.part").write_bytes(b"half a shard")
    arguments = ["generate", "-n", "20", "--shards", "1", "-o", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [".shards.json", "digits-00000-of-00001.parquet"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_plan_is_said(content, tmp_path):
    (tmp_path / ".shards.json").write_bytes(content)
    with pytest.raises(RunError, match="cannot be read"):
        Shards(tmp_path, 20, 1).claim({})


def test_another_set_is_not_mixed_in(tmp_path):
    out = tmp_path / "shards"
    assert CliRunner().invoke(app, [*ARGUMENTS, "--shards", "3", "-o", str(out)]).exit_code == 0
    for change in (["--seed", "6"], ["--temperature", "0.5"], ["--invert"], ["--size", "14"], ["--digit", "3"]):
        refused = CliRunner().invoke(app, [*ARGUMENTS, *change, "--shards", "3", "-o", str(out)])
        assert isinstance(refused.exception, RunError), change
        assert "another set" in str(refused.exception)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    refused = CliRunner().invoke(app, [*ARGUMENTS, "--shards", "3", "-o", str(tmp_path / "mine")])
    assert "something else" in str(refused.exception)


def test_options_that_do_not_go_together(tmp_path):
    for extra in (["--grid"], ["--format", "npz"], ["--overwrite"]):
        refused = CliRunner().invoke(app, [*ARGUMENTS, *extra, "--shards", "2", "-o", str(tmp_path / "x")])
        assert isinstance(refused.exception, InputError)


def test_two_processes_make_the_same_files_as_one(tmp_path):
    for processes, name in ((1, "one"), (2, "two")):
        done = digitvae(*ARGUMENTS, "--shards", "3", "-o", tmp_path / name, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("3,500 digits in 3 shards") == 1
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("arguments", [["generate", "-n", "10", "-o", "x.npz"], ["score", "x.png"]])
def test_what_is_for_one_process_says_so(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, InputError)
    assert "rocess" in str(refused.exception)
    assert not list(tmp_path.iterdir())


def test_a_shard_is_read_as_digits(tmp_path):
    out = tmp_path / "shards"
    assert CliRunner().invoke(app, ["generate", "-n", "1500", "--shards", "2", "-o", str(out)]).exit_code == 0
    digits, _ = load_digits(sorted(out.glob("*.parquet"))[1])
    assert len(digits) == 500
    assert np.bincount(digits.labels, minlength=10).min() > 20
