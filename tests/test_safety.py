"""No one let in, nothing lost: planted files, damaged files, full disks, lost data. Real processes where it matters."""

import contextlib
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.commands import digitvae

from digitvae.checkpoint import _digest, load_model, load_state, save_model, save_state
from digitvae.config import Config, load_recipe
from digitvae.data import load_digits
from digitvae.errors import ConfigError, DataError, DigitVAEError, RunError
from digitvae.models.vae import VAE
from digitvae.rundir import RunDirectory
from digitvae.studio import Studio
from digitvae.styling import Knobs

CONFIG = Config().with_settings(["encoder=[8]", "decoder=[8]"])
SMALL = ["--data", "digits.npz", "--set", "encoder=[16]", "--set", "decoder=[16]", "--set", "augmentation=0"]
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Trap:
    """What must never be run: unpickled, it would make a folder."""

    def __init__(self, place):
        self.place = str(place)

    def __reduce__(self):
        return (os.mkdir, (self.place,))


def torch_zip(trap):
    """What `torch.save` writes: a zip with a pickle in it."""
    content = io.BytesIO()
    torch.save(trap, content)
    return content.getvalue()


def npz_of_objects(trap, names=("images", "shared", "mean", "scale", "slopes", "centre")):
    content = io.BytesIO()
    np.savez(content, **{name: np.array([trap], object) for name in names})
    return content.getvalue()


MALICIOUS = {"pickle": pickle.dumps, "torch zip": torch_zip, "npz of objects": npz_of_objects}


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", VAE.from_config(CONFIG.model, 0), CONFIG, "# Card\n")
    return tmp_path / "model"


# No one let in


def test_the_traps_would_work(tmp_path):
    for number, plant in enumerate(MALICIOUS.values()):
        content = plant(Trap(tmp_path / str(number)))
        if content[:2] == b"PK" and b"images.npy" in content:
            np.load(io.BytesIO(content), allow_pickle=True)["images"]
        elif content[:2] == b"PK":
            torch.load(io.BytesIO(content), weights_only=False)
        else:
            pickle.loads(content)
        assert (tmp_path / str(number)).is_dir()


@pytest.mark.parametrize("plant", MALICIOUS.values(), ids=MALICIOUS)
def test_planted_weights_are_refused_and_never_run(plant, folder, tmp_path):
    content = plant(Trap(tmp_path / "sprung"))
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="not a safetensors file"):
        load_model(folder)
    state = tmp_path / "training.safetensors"
    state.write_bytes(content)
    with pytest.raises(RunError, match="not a safetensors file"):
        load_state(state)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".png", ".parquet", "-images-idx3-ubyte", ".gz", ".pkl"])
@pytest.mark.parametrize("plant", MALICIOUS.values(), ids=MALICIOUS)
def test_planted_data_is_refused_and_never_run(plant, suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(plant(Trap(tmp_path / "sprung")))
    with pytest.raises(DataError):
        load_digits(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("plant", MALICIOUS.values(), ids=MALICIOUS)
def test_planted_parts_of_a_studio_are_refused_and_never_run(plant, studio_folder, tmp_path):
    shutil.copytree(studio_folder, tmp_path / "model")
    content = plant(Trap(tmp_path / "sprung"))
    for name in ("hands.npz", "knobs.npz", "draw.onnx"):
        (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(RunError):
        Studio(tmp_path / "model")
    shutil.copy2(studio_folder / "draw.onnx", tmp_path / "model" / "draw.onnx")
    with pytest.raises(RunError, match=r"hands\.npz"):
        Studio(tmp_path / "model").hands  # noqa: B018
    with pytest.raises(RunError, match=r"knobs\.npz"):
        Knobs.load(Studio(tmp_path / "model"))
    assert not (tmp_path / "sprung").exists()


def test_an_archive_cannot_reach_out_of_its_place(tmp_path):
    """Nothing is unpacked: names inside an archive are never made into paths."""
    array = io.BytesIO()
    np.save(array, np.zeros((1, 28, 28), np.uint8))
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "x.npz", "w") as archive:
        archive.writestr("../../escaped.npy", array.getvalue())
        archive.writestr("../images.npy", array.getvalue())
    with pytest.raises(DataError, match="no array named 'images'"):
        load_digits(tmp_path / "in" / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# What is damaged


def mutate(content, changes, cut):
    changed = bytearray(content)
    for where, value in changes:
        changed[where % len(changed)] = value
    return bytes(changed[: len(changed) - cut % len(changed)])


mutations = {
    "changes": st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    "cut": st.one_of(st.just(0), st.integers(0, 10**6)),
}


@given(**mutations)
@fuzz
def test_a_mutated_model_is_the_same_or_refused(folder, changes, cut):
    right, _ = load_model(folder)
    for name in ("model.safetensors", "config.json"):
        whole = (folder / name).read_bytes()
        try:
            (folder / name).write_bytes(mutate(whole, changes, cut))
            with contextlib.suppress(DigitVAEError):
                model, _ = load_model(folder)
                for key, weight in model.state_dict().items():
                    assert torch.equal(weight, right.state_dict()[key])
        finally:
            (folder / name).write_bytes(whole)


@given(**mutations)
@fuzz
def test_a_mutated_state_is_refused(tmp_path, changes, cut):
    path = tmp_path / "training.safetensors"
    tensors = {"w": torch.arange(6.0).reshape(2, 3)}
    save_state(path, tensors, {"epoch": 2})
    whole = path.read_bytes()
    path.write_bytes(mutate(whole, changes, cut))
    try:
        read, facts = load_state(path)
    except RunError:
        return
    assert torch.equal(read["w"], tensors["w"])
    assert facts == {"epoch": 2}


@pytest.mark.parametrize("facts", [None, "[1", "7", "[" * 100_000], ids=["none", "torn", "a number", "nested"])
def test_a_state_with_a_right_checksum_and_wrong_facts_is_refused(tmp_path, facts):
    """Found by fuzzing, which learns checksums from the comparison with them."""
    tensors, text = {"w": torch.arange(6.0)}, facts or ""
    said = {"format": "1", "sha256": _digest(tensors, text)} | ({} if facts is None else {"facts": facts})
    save_file(tensors, tmp_path / "training.safetensors", said)
    with pytest.raises(RunError, match="is damaged"):
        load_state(tmp_path / "training.safetensors")


@given(**mutations)
@fuzz
def test_a_mutated_recipe_is_read_or_refused(tmp_path, changes, cut):
    path = tmp_path / "mine.toml"
    path.write_bytes(mutate(load_recipe("exact").to_toml().encode(), changes, cut))
    with contextlib.suppress(ConfigError):
        load_recipe(str(path))


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b"a = " + b"[" * 100_000)
@example(b'{"a":' * 100_000)
@fuzz
def test_any_bytes_in_the_files_of_a_run_give_our_error(tmp_path, content):
    run = RunDirectory(tmp_path)
    for file, read in (
        (run.config_file, run.config),
        (run.manifest_file, run.manifest),
        (run.metrics_file, run.metrics),
        (run.metrics_file, lambda: run.keep_metrics_to(1)),
        (tmp_path / "config.json", lambda: load_model(tmp_path)),
    ):
        file.write_bytes(content)
        with contextlib.suppress(DigitVAEError):
            read()


@given(st.text("[]{}=\"'.,0123456789eE+-\n abclmodelraining_", max_size=60))
@example("latent_dim=" + "[" * 100_000)
@fuzz
def test_any_setting_is_taken_or_refused(text):
    with contextlib.suppress(ConfigError):
        Config().with_settings([text])


@pytest.mark.parametrize(
    "claim",
    [
        {"decoder": [16384] * 8},
        {"encoder": [16384] * 8},
        {"prior": "flow", "flow_layers": 64, "flow_width": 4096},
        {"prior": "mixture", "mixture_components": 10**9},
        {"basis": "torus", "latent_dim": 512},
        {"basis": "torus", "latent_dim": 3, "frequency": 32},
    ],
)
def test_a_recipe_that_claims_far_more_than_the_file_holds_takes_no_memory(folder, claim):
    content = json.loads((folder / "config.json").read_text())
    content["config"]["model"] |= claim
    (folder / "config.json").write_text(json.dumps(content))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((RunError, ConfigError)):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def array_file(descr, shape, body=b""):
    """An array as NumPy keeps it, with any header."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + body


@pytest.mark.parametrize(
    "content",
    [
        array_file("'<f8'", "(10**9,"),  # found by fuzzing: NumPy's reader ends with an error of Python's tokenizer
        array_file("'<f8'", "(1000000000000, 4)"),
        array_file("'<f8'", "(10, 5)", bytes(400)),
        array_file("'<f8'", "(10, 4)", np.full(40, np.nan).tobytes()),
        array_file("'|S8'", "(10, 4)", bytes(320)),
    ],
    ids=["torn header", "claims terabytes", "another shape", "no numbers", "text"],
)
def test_parts_of_a_studio_with_odd_arrays_are_refused(content, studio_folder, tmp_path):
    shutil.copytree(studio_folder, tmp_path / "model")
    for part, names in {"hands": ("shared", "mean", "scale"), "knobs": ("slopes",)}.items():
        with zipfile.ZipFile(tmp_path / "model" / f"{part}.npz", "w") as archive:
            for name in names:
                archive.writestr(f"{name}.npy", content)
    studio = Studio(tmp_path / "model")
    with pytest.raises(RunError, match=r"hands\.npz is missing or damaged"):
        studio.hands  # noqa: B018
    with pytest.raises(RunError, match=r"knobs\.npz is missing or damaged"):
        Knobs.load(studio)


def test_a_part_of_a_studio_that_is_one_array_is_refused(studio_folder, tmp_path):
    shutil.copytree(studio_folder, tmp_path / "model")
    (tmp_path / "model" / "hands.npz").write_bytes(array_file("'<f8'", "(1,)", bytes(8)))
    with pytest.raises(RunError, match=r"hands\.npz is missing or damaged"):
        Studio(tmp_path / "model").hands  # noqa: B018


def test_a_recipe_nested_without_end_has_no_checksum(studio_folder, tmp_path):
    shutil.copytree(studio_folder, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"sha256":' + "[" * 100_000)
    with pytest.raises(RunError, match=r"config\.json is missing or damaged"):
        Studio(tmp_path / "model").weights_sha256  # noqa: B018


def test_a_safetensors_header_that_claims_too_much(folder):
    path = folder / "model.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**9, 784], "data_offsets": [0, 4 * 784 * 10**9]}}).encode()
    for length in (len(header), 2**63, 10**9):
        path.write_bytes(length.to_bytes(8, "little") + header + bytes(100))
        with pytest.raises(RunError, match="damaged or is not a safetensors file"):
            load_model(folder)


# Nothing lost


@pytest.fixture(scope="module")
def trained(splits_5k, tmp_path_factory):
    """A folder with data of one's own, and in it a run of two epochs."""
    place = tmp_path_factory.mktemp("trained")
    np.savez(place / "digits.npz", images=splits_5k.train.images[:600], labels=splits_5k.train.labels[:600])
    done = digitvae("train", "map", *SMALL, "--epochs", 2, "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(trained, tmp_path):
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "place")
    return tmp_path / "place"


def goes_on(place):
    """The run is continued to its fourth epoch."""
    done = digitvae("train", "--out", "run", "--resume", "--epochs", 4, cwd=place)
    assert done.returncode == 0, done.stderr
    assert [record["epoch"] for record in RunDirectory(place / "run").metrics()] == [1, 2, 3, 4]


def one_sentence(done, words):
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_said_and_nothing_is_broken(place):
    """No file may grow beyond 64 KB, as if the disk were full: for a process of its own."""
    limit = (64 * 1024, 64 * 1024)
    command = [sys.executable, "-m", "digitvae", "train", "--out", "run", "--resume", "--epochs", "4"]
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)}
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, **limited)
    one_sentence(done, "Cannot write")
    assert not list((place / "run").rglob("*.part"))
    goes_on(place)


def test_a_lost_data_file_is_said_and_the_run_goes_on_when_it_is_back(place):
    (place / "digits.npz").rename(place / "away.npz")
    one_sentence(digitvae("train", "--out", "run", "--resume", "--epochs", 4, cwd=place), "digits.npz is neither")
    (place / "away.npz").rename(place / "digits.npz")
    goes_on(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is read-only for root")
def test_a_read_only_folder_is_said(place):
    (place / "run").chmod(0o555)
    one_sentence(digitvae("train", "--out", "run", "--resume", "--epochs", 4, cwd=place), "Cannot write")
    (place / "run").chmod(0o755)
    goes_on(place)


@pytest.mark.slow
def test_killed_at_a_few_random_moments_a_run_goes_on(place):
    """SIGKILL, far from the end; `benchmarks.kill` does it 200 times, test_running says what may be lost."""
    run = RunDirectory(place / "run")
    command = [sys.executable, "-m", "digitvae", "train", "--out", "run", "--resume"]
    plan = ["--epochs", "4000"]
    for moment in np.random.default_rng(1).uniform(0, 0.3, 3):
        before = load_state(run.state_file)[1]["epoch"]  # its checksum is right
        process = subprocess.Popen(command + plan, cwd=place, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 60
            while load_state(run.state_file)[1]["epoch"] == before:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
            time.sleep(moment)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        load_model(run.best)
        plan = []
    epoch = load_state(run.state_file)[1]["epoch"]
    finished = digitvae("train", "--out", "run", "--resume", "--epochs", epoch + 2, cwd=place)
    assert finished.returncode == 0, finished.stderr
    assert [record["epoch"] for record in run.metrics()] == list(range(1, epoch + 3))
