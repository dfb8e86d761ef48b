"""Models by name, and the Hub's client held up by a stand-in: a directory."""

import shutil
from types import SimpleNamespace

import pytest
import torch

import digitvae
from digitvae.checkpoint import model_facts
from digitvae.config import Config
from digitvae.errors import InputError, RunError
from digitvae.estimator import DigitVAE
from digitvae.evaluation.files import seen_in_training
from digitvae.hub import card_header, from_pretrained, push_to_hub, save_pretrained
from digitvae.models.vae import VAE
from digitvae.rundir import PRETRAINED, shipped_models

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize("name", shipped_models())
def test_saved_and_read_again(name, tmp_path):
    model = from_pretrained(name)
    again = from_pretrained(save_pretrained(model, tmp_path / "mine"))
    assert again.recipe == model.recipe
    assert not again.training
    for (key, first), second in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(first, second), key
    with pytest.raises(RunError, match="exists"):
        save_pretrained(model, tmp_path / "mine")


def test_a_model_without_a_recipe_needs_one(tmp_path):
    config = Config().with_settings(["encoder=[8]", "decoder=[8]"])
    model = VAE.from_config(config.model, 0)
    with pytest.raises(InputError, match="give the recipe"):
        save_pretrained(model, tmp_path / "mine")
    save_pretrained(model, tmp_path / "mine", config, card="# Mine\n")
    assert (tmp_path / "mine" / "README.md").read_text().endswith("---\n# Mine\n")
    assert from_pretrained(tmp_path / "mine").recipe == config


def test_what_a_folder_says_of_its_digits_is_carried_over(tmp_path, splits_5k):
    model, shipped = from_pretrained("exact"), model_facts(PRETRAINED / "exact")
    facts = model_facts(save_pretrained(model, tmp_path / "mine"))
    assert {name: facts[name] for name in ("data", "made", "scores")} == {
        name: shipped[name] for name in ("data", "made", "scores")
    }
    assert seen_in_training(facts, splits_5k, "test")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert shipped["data"]["sha256"] in card
    assert "60,000 digits" in card


def test_scores_are_not_carried_over_to_other_weights(tmp_path):
    model, shipped = from_pretrained("map"), model_facts(PRETRAINED / "map")
    with torch.no_grad():
        next(model.parameters()).add_(0.01)
    facts = model_facts(save_pretrained(model.double(), tmp_path / "mine"))
    assert facts["data"] == shipped["data"]
    assert not {"made", "scores"} & facts.keys()


def test_a_fitted_estimator_of_images_can_be_read_again(tmp_path, digits):
    rows = digits.reshape(len(digits), -1) / 255
    vae = DigitVAE(recipe="sprint", epochs=1, random_state=0).fit(rows)
    again = from_pretrained(save_pretrained(vae.model_, tmp_path / "mine", vae.config_))
    x = torch.from_numpy(rows[:5]).reshape(5, 1, 28, 28)
    with torch.no_grad():
        codes = again.encode(x.float()).loc
    torch.testing.assert_close(codes.double(), torch.from_numpy(vae.transform(rows[:5])), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [lambda pixels: pixels, lambda pixels: pixels[:, :50] / 255], ids=["values", "number"])
def test_an_estimator_of_other_rows_is_refused_before_anything_is_written(tmp_path, digits, rows):
    vae = DigitVAE(epochs=1, random_state=0).fit(rows(digits[:20].reshape(20, -1)))
    with pytest.raises(InputError, match="could not be read again"):
        save_pretrained(vae.model_, tmp_path / "mine", vae.config_)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", shipped_models())
def test_the_hub_can_read_the_header_of_every_shipped_card(name):
    card = huggingface_hub.ModelCard.load(PRETRAINED / name / "README.md")
    assert card.data.library_name == "digitvae"
    assert card.data.license == "mit"
    assert "handwritten-digits" in card.data.tags
    assert card.data.datasets == ["ylecun/mnist"]
    assert card.text.startswith("# digitvae model")


def test_only_mnist_is_named():
    assert "mnist" in card_header("mnist-5k")
    assert "mnist" not in card_header("my_digits/")


class Unreachable(Exception):
    """As what the client asks the network with raises it: no kind of OSError."""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A Hub that is a directory: the client's class, with the calls that go out over the network replaced."""
    place = tmp_path / "hub"

    def create_repo(self, repo_id, *, private=None, exist_ok=False, **others):
        assert not others
        if repo_id.startswith("no-network/"):
            raise Unreachable("All connection attempts failed")
        (place / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id, folder_path, commit_message, **others):
        assert not others
        if repo_id.startswith("somebody-else/"):
            raise huggingface_hub.errors.HFValidationError("403 Forbidden: no rights to write.\nMore of it.")
        shutil.copytree(folder_path, place / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"{place.as_uri()}/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    return place


def test_push(stand_in):
    address = push_to_hub("studio", "somebody/digits")
    assert address.startswith("file://")
    there = stand_in / "somebody" / "digits"
    assert {p.name for p in there.iterdir()} == {p.name for p in (PRETRAINED / "studio").iterdir()}
    assert from_pretrained(there).classes == 10


def test_what_the_hub_refuses_is_one_sentence(stand_in):
    with pytest.raises(InputError, match=r"no rights to write\.$"):
        push_to_hub("map", "somebody-else/digits")


def test_without_a_network_it_is_one_sentence(stand_in):
    with pytest.raises(InputError, match="All connection attempts failed"):
        push_to_hub("map", "no-network/digits")


def test_what_is_damaged_is_not_pushed(stand_in, tmp_path):
    shutil.copytree(PRETRAINED / "map", tmp_path / "bad")
    weights = bytearray((tmp_path / "bad" / "model.safetensors").read_bytes())
    weights[-5] ^= 1
    (tmp_path / "bad" / "model.safetensors").write_bytes(weights)
    with pytest.raises(RunError, match="checksum"):
        push_to_hub(tmp_path / "bad", "somebody/digits")
    assert not stand_in.exists()


def test_every_public_name_is_documented_with_an_example():
    assert len(digitvae.__all__) <= 10
    for name in digitvae.__all__:
        assert name in dir(digitvae)
        assert ">>> " in getattr(digitvae, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        digitvae.nothing  # noqa: B018
