"""Model folders and training states: what is damaged is refused in one sentence, what fails leaves the old intact."""

import itertools
import json
import os
import pickle
import threading

import pytest
import torch
from safetensors import SafetensorError

from digitvae import checkpoint
from digitvae.checkpoint import load_model, load_state, model_facts, save_model, save_state
from digitvae.config import Config
from digitvae.errors import ConfigError, RunError
from digitvae.models.vae import VAE

CONFIG = Config().with_settings(["encoder=[8]", "decoder=[8]"])


def model_of(config=CONFIG, seed=0):
    return VAE.from_config(config.model, seed)


def assert_same_weights(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    assert all(name == other_name and torch.equal(t, u) for (name, t), (other_name, u) in pairs)


@pytest.fixture
def folder(tmp_path):
    """A model folder, of the weights of seed 0."""
    save_model(tmp_path / "model", model_of(), CONFIG, "# Card\n")
    return tmp_path / "model"


@pytest.fixture
def state(tmp_path):
    """A training state."""
    path = tmp_path / "last" / "training.safetensors"
    save_state(path, {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}, {"epoch": 2, "loss": float("inf")})
    return path


def others(folder):
    """What lies beside a file or folder: nothing may be left over."""
    return sorted(p.name for p in folder.parent.iterdir() if p != folder)


def test_a_model_comes_back(folder):
    model, config = load_model(folder)
    assert config == CONFIG
    assert not model.training
    assert_same_weights(model, model_of())
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert (folder / "README.md").read_text() == "# Card\n"
    assert others(folder) == []


def test_a_model_is_replaced_whole(folder):
    (folder / "stale.txt").touch()
    save_model(folder, model_of(seed=1), CONFIG, "new")
    assert_same_weights(load_model(folder)[0], model_of(seed=1))
    assert not (folder / "stale.txt").exists()
    assert others(folder) == []


def test_half_the_bytes_keep_three_digits_and_the_facts(folder):
    whole = (folder / "model.safetensors").stat().st_size
    save_model(folder, model_of(), CONFIG, "", {"data": {"name": "mnist"}}, torch.float16)
    assert (folder / "model.safetensors").stat().st_size < 0.6 * whole
    model, config = load_model(folder)
    assert config == CONFIG
    for (name, kept), (_, weight) in zip(model.state_dict().items(), model_of().state_dict().items(), strict=True):
        assert kept.dtype == torch.float32, name
        torch.testing.assert_close(kept, weight, rtol=1e-3, atol=1e-6)
    assert model_facts(folder)["data"] == {"name": "mnist"}


def test_a_state_comes_back(state):
    tensors, facts = load_state(state)
    assert torch.equal(tensors["w"], torch.arange(6.0).reshape(2, 3))
    assert tensors["n"].dtype == torch.int64
    assert facts == {"epoch": 2, "loss": float("inf")}
    assert others(state) == []


def test_a_state_can_be_read_while_a_run_puts_new_ones_in_its_place(tmp_path):
    path = tmp_path / "training.safetensors"
    states = [{"w": torch.full((100, 100), float(value))} for value in range(2)]
    save_state(path, states[0], {"epoch": 0})
    done = threading.Event()

    def run():
        for epoch in itertools.takewhile(lambda _: not done.is_set(), itertools.count()):
            save_state(path, states[epoch % 2], {"epoch": epoch})

    writer = threading.Thread(target=run)
    writer.start()
    try:
        for _ in range(300):
            tensors, facts = load_state(path)
            assert torch.equal(tensors["w"], states[facts["epoch"] % 2]["w"])
    finally:
        done.set()
        writer.join()


# Damage


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def plant_pickle(path):
    """What must never be run: it would make a file beside the model."""

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(path.parent / "trapped"),))

    path.write_bytes(pickle.dumps(Trap()))


def empty(path):
    path.write_bytes(b"")


def make_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = [truncate, flip_last_byte, plant_pickle, empty, make_folder]


@pytest.mark.parametrize("damage", [*DAMAGE, os.unlink])
def test_damaged_weights_are_refused(folder, damage):
    damage(folder / "model.safetensors")
    with pytest.raises(RunError, match=r"model\.safetensors"):
        load_model(folder)
    assert not (folder / "trapped").exists()


@pytest.mark.parametrize("damage", [*DAMAGE, os.unlink])
def test_a_damaged_state_is_refused(state, damage):
    damage(state)
    with pytest.raises(RunError, match=r"training\.safetensors"):
        load_state(state)
    assert not (state.parent / "trapped").exists()


@pytest.mark.parametrize("kind", ["F8_E8M0", "F6_E2M3", "F4", "nothing"])
def test_numbers_that_pytorch_does_not_have_are_refused(state, kind):
    head = json.dumps({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, 8]}}).encode()
    state.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(RunError, match=r"training\.safetensors"):
        load_state(state)


def test_every_flipped_bit_of_a_state_is_noticed(state):
    """Header, facts and tensors alike: what is read back is what was written, or an error."""
    whole = state.read_bytes()
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 4
        state.write_bytes(content)
        with pytest.raises(RunError):
            load_state(state)


@pytest.mark.parametrize("damage", [truncate, empty, plant_pickle, os.unlink, make_folder])
def test_a_damaged_config_is_refused(folder, damage):
    damage(folder / "config.json")
    with pytest.raises(RunError):
        load_model(folder)


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"format": 1}', '{"format": 1, "config": {}}'])
def test_json_that_is_no_model_config_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(RunError, match="damaged"):
        load_model(folder)


@pytest.mark.parametrize("changes", [{"config": []}, {"sha256": 0}, {"data": []}, {"scores": "many"}])
def test_facts_of_another_type_are_refused(folder, changes):
    edit(folder, **changes)
    for read in (model_facts, load_model):
        with pytest.raises(RunError, match="damaged"):
            read(folder)


def test_a_config_that_leaves_all_to_the_defaults_has_its_table(folder):
    edit(folder, config={"recipe": "mine"})
    assert model_facts(folder)["config"]["data"] == {}


def test_a_model_that_is_replaced_while_it_is_read_is_read_again(folder, monkeypatch):
    real, left = checkpoint._read_tensors, [1]

    def replaced_first(path):
        if left:
            save_model(folder, model_of(seed=left.pop()), CONFIG, "")
        return real(path)

    monkeypatch.setattr(checkpoint, "_read_tensors", replaced_first)
    assert_same_weights(load_model(folder)[0], model_of(seed=1))


def test_where_there_is_no_folder(tmp_path, folder):
    for path in (tmp_path / "nowhere", tmp_path, folder / "model.safetensors"):
        with pytest.raises(RunError, match="not a model folder"):
            load_model(path)


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_newer_layout_is_refused(folder):
    edit(folder, format=2)
    with pytest.raises(RunError, match="has layout 2; this version reads layout 1"):
        load_model(folder)


def test_an_unknown_setting_is_refused(folder):
    edit(folder, config={"model": {"latent": 3}})
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_model(folder)


def test_weights_of_another_recipe_are_refused(folder):
    edit(folder, config=CONFIG.with_settings(["encoder=[9]"]).to_dict())
    with pytest.raises(RunError, match="weights of another model"):
        load_model(folder)


def test_a_wrong_checksum_is_refused(folder):
    edit(folder, sha256="0" * 64)
    with pytest.raises(RunError, match="does not match its checksum"):
        load_model(folder)


def test_weights_of_the_same_shape_from_another_model_are_refused(folder, tmp_path):
    save_model(tmp_path / "other", model_of(seed=1), CONFIG, "")
    os.replace(tmp_path / "other" / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(RunError, match="checksum"):
        load_model(folder)


def test_a_state_of_another_layout_is_refused(folder):
    with pytest.raises(RunError, match="not a training state"):
        load_state(folder / "model.safetensors")


# Failed writes


def full_disk(*_, **__):
    raise OSError(28, "No space left on device")


def full_disk_seen_by_safetensors(*_, **__):
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("failure", [full_disk, full_disk_seen_by_safetensors])
def test_a_failed_write_leaves_the_old_model(folder, monkeypatch, failure):
    monkeypatch.setattr(checkpoint, "save_file", failure)
    with pytest.raises(RunError, match=r"Cannot write .*No space left"):
        save_model(folder, model_of(seed=1), CONFIG, "")
    assert_same_weights(load_model(folder)[0], model_of())
    assert others(folder) == []


@pytest.mark.parametrize("failure", [full_disk, full_disk_seen_by_safetensors])
def test_a_failed_write_leaves_the_old_state(state, monkeypatch, failure):
    monkeypatch.setattr(checkpoint, "save_file", failure)
    with pytest.raises(RunError, match=r"Cannot write .*No space left"):
        save_state(state, {"w": torch.zeros(1)}, {"epoch": 3})
    assert load_state(state)[1]["epoch"] == 2
    assert others(state) == []


def test_a_write_cut_short_leaves_the_old_state(state, monkeypatch):
    """The disk fills up in the middle of the file, which is written aside."""

    def half(tensors, path, *_):
        path.write_bytes(b"half a fi")
        full_disk()

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(RunError, match="No space left"):
        save_state(state, {"w": torch.zeros(1)}, {"epoch": 3})
    assert load_state(state)[1]["epoch"] == 2
    assert others(state) == []


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot write"):
        save_model(tmp_path / "file" / "model", model_of(), CONFIG, "")
    with pytest.raises(RunError, match="Cannot write"):
        save_state(tmp_path / "file" / "state", {}, {})


def fail_at(monkeypatch, call, error):
    """The given call of os.replace raises; those before it work."""
    calls, real = iter(range(1, 100)), os.replace

    def replace(source, target):
        if next(calls) == call:
            raise error
        real(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", replace)


@pytest.mark.parametrize("call", [1, 2])
def test_a_failed_rename_leaves_the_old_model(folder, monkeypatch, call):
    fail_at(monkeypatch, call, OSError(5, "Input/output error"))
    with pytest.raises(RunError, match="Cannot write"):
        save_model(folder, model_of(seed=1), CONFIG, "")
    monkeypatch.undo()
    assert_same_weights(load_model(folder)[0], model_of())
    assert others(folder) == []


def test_death_between_the_renames_leaves_the_old_model_beside(folder, monkeypatch):
    """The old model then lies in `.old`, whole; the next save puts everything in order."""
    real = os.replace

    def die(source, target):
        if str(source).endswith(".part"):
            os._exit(9)
        real(source, target)

    child = os.fork()
    if child == 0:
        checkpoint.os.replace = die
        save_model(folder, model_of(seed=1), CONFIG, "")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    old = folder.with_name("model.old")
    assert_same_weights(load_model(old)[0], model_of())
    save_model(folder, model_of(seed=2), CONFIG, "")
    assert_same_weights(load_model(folder)[0], model_of(seed=2))
    assert others(folder) == []
