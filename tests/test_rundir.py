"""The run directory's readers: a torn line is found, and dropped only where that loses nothing."""

import json
from pathlib import Path

import pytest

from digitvae.config import Config
from digitvae.errors import RunError
from digitvae.rundir import RunDirectory, find_model, write_aside

DATA = {"name": "mnist", "sha256": "ab" * 32, "caption": "MNIST", "notes": [], "training": 8, "validation": 2}
MANIFEST = {"seed": 3, "sessions": [], "data": DATA}


def record(epoch):
    return {"epoch": epoch, "train": {"loss": 200.0 / epoch}, "validation": {"loss": 210.0 / epoch}}


@pytest.fixture
def run(tmp_path):
    """A run with three epochs measured."""
    run = RunDirectory(tmp_path)
    for epoch in (1, 2, 3):
        run.add_metrics(record(epoch))
    return run


def tear(run, line, text='{"epoch": 3, "tr'):
    lines = run.metrics_file.read_text().splitlines(keepends=True)
    run.metrics_file.write_text("".join([*lines[: line - 1], text, *lines[line:]]))


def test_metrics_come_back_in_order(run):
    assert run.metrics() == [record(1), record(2), record(3)]


@pytest.mark.parametrize("text", ['{"epoch": 3, "tr', "{}\n", "[]\n", "3\n", "\n", "\0\0\0\0", '{"epoch": 3}\n'])
def test_a_torn_line_is_named_with_the_way_out(run, text):
    tear(run, 3, text)
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 3 is torn; .*--resume"):
        run.metrics()


def test_bytes_that_are_no_text_are_a_torn_line(run):
    with run.metrics_file.open("ab") as file:
        file.write(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="torn"):
        run.metrics()


def test_no_metrics_yet(tmp_path):
    with pytest.raises(RunError, match="no epoch is finished"):
        RunDirectory(tmp_path).metrics()


@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_later_epochs_are_dropped(run, epoch):
    run.keep_metrics_to(epoch)
    assert run.metrics() == [record(e) for e in range(1, epoch + 1)]


def test_a_torn_last_line_is_dropped_with_its_epoch(run):
    """Killed while epoch 3's line was written, before its state was saved: epoch 3 is done again."""
    tear(run, 3)
    run.keep_metrics_to(2)
    run.add_metrics(record(3))
    assert run.metrics() == [record(1), record(2), record(3)]


@pytest.mark.parametrize(("line", "text"), [(2, "torn\n"), (3, '{"epoch": 3'), (1, json.dumps(record(2)) + "\n")])
def test_a_saved_epoch_is_never_dropped_silently(run, line, text):
    tear(run, line, text)
    before = run.metrics_file.read_text()
    with pytest.raises(RunError, match=f"line {line} is torn, though that epoch was saved"):
        run.keep_metrics_to(3)
    assert run.metrics_file.read_text() == before


def test_missing_epochs_are_said(run, tmp_path):
    with pytest.raises(RunError, match="ends before epoch 4"):
        run.keep_metrics_to(4)
    with pytest.raises(RunError, match="ends before epoch 1"):
        RunDirectory(tmp_path / "other").keep_metrics_to(1)


def test_whole_snapshots_are_listed_in_order(run):
    for name in ("epoch-0010", "epoch-0002", "epoch-10000", "epoch-0003.part", "epoch-0004.old"):
        (run.path / "snapshots" / name).mkdir(parents=True)
        (run.path / "snapshots" / name / "config.json").touch()
    (run.path / "snapshots" / "epoch-0005").mkdir()
    assert run.snapshot_epochs() == [2, 10, 10_000]
    assert run.snapshot(2) == run.path / "snapshots" / "epoch-0002"


def test_a_folder_of_ones_own_among_the_snapshots_is_passed_over(run):
    (run.path / "snapshots" / "epoch-final").mkdir(parents=True)
    (run.path / "snapshots" / "epoch-final" / "config.json").touch()
    assert run.snapshot_epochs() == []


def test_recipe_and_manifest_come_back(run):
    config = Config().with_settings(["epochs=3"])
    run.config_file.write_text(config.to_toml())
    run.manifest_file.write_text(json.dumps(MANIFEST))
    assert run.config() == config
    assert run.manifest() == MANIFEST
    assert run.data_name() == "mnist"


def without(table, name):
    return {key: value for key, value in table.items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}"),
        *(json.dumps(without(MANIFEST, name)) for name in MANIFEST),
        *(json.dumps({**MANIFEST, "data": without(DATA, name)}) for name in DATA),
        json.dumps({**MANIFEST, "data": []}),
        json.dumps({**MANIFEST, "sessions": [1]}),
    ],
)
def test_a_damaged_manifest_is_said(run, content):
    run.config_file.write_text(Config().to_toml())
    run.manifest_file.write_text(content)
    for read in (run.manifest, run.data_name):
        with pytest.raises(RunError, match=r"manifest\.json is damaged"):
            read()


def test_a_model_that_a_killed_run_has_moved_away_is_found(run):
    run.config_file.write_text(Config().to_toml())
    with pytest.raises(RunError, match="no epoch is finished"):
        find_model(str(run.path))
    for name in ("best.old", "best"):
        (run.best.parent / name).mkdir(parents=True)
        (run.best.parent / name / "config.json").touch()
        assert find_model(str(run.path)) == run.best.parent / name


def test_what_is_no_run_directory_is_said_without_a_walk_through_it(tmp_path, monkeypatch):
    def walk(*_):
        raise AssertionError("it may be a whole home directory")

    monkeypatch.setattr(Path, "rglob", walk)
    for read in (RunDirectory(tmp_path).config, RunDirectory(tmp_path).manifest):
        with pytest.raises(RunError, match="not a run directory"):
            read()


def test_text_is_written_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_aside(path, "old")
    monkeypatch.setattr("digitvae.rundir.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RunError, match=r"Cannot write .*file\.txt: No space left"):
        write_aside(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
