"""Recipes: what is written is read back, and no mistake passes silently."""

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitvae.config import Config, ModelConfig, TrainingConfig, load_recipe, recipe_names
from digitvae.errors import ConfigError

widths = st.lists(st.integers(1, 4096), min_size=0, max_size=5)
settings = st.fixed_dictionaries(
    {
        "training.epochs": st.integers(1, 10_000),
        "training.learning_rate": st.floats(1e-9, 1.0, exclude_min=True),
        "training.seed": st.integers(0, 2**63 - 1),
        "training.snapshots": st.lists(st.integers(1, 500), max_size=6),
        "model.encoder": widths,
        "model.latent_dim": st.integers(1, 512),
        "data.augmentation": st.floats(0, 1),
        "data.augmentation_share": st.floats(0, 1),
        "data.binarization": st.sampled_from(["none", "dynamic", "static"]),
    }
)


@given(settings)
def test_toml_round_trip(values):
    config = Config().with_settings(f"{name}={value}" for name, value in values.items())
    assert Config.from_toml(config.to_toml()) == config
    assert Config.from_dict(config.to_dict()) == config


@given(st.text())
def test_any_text_is_a_recipe_or_a_config_error(text):
    with contextlib.suppress(ConfigError):
        Config.from_toml(text)


@given(st.integers(1, 1000))
def test_snapshots_are_in_order_and_end_with_the_last_epoch(epochs):
    chosen = TrainingConfig(epochs=epochs).snapshot_epochs()
    assert list(chosen) == sorted(set(chosen))
    assert chosen[-1] == epochs
    assert chosen[0] >= 1
    assert len(chosen) <= 6


def test_snapshots_named_by_the_user():
    assert TrainingConfig(epochs=50, snapshots=(10, 30, 80)).snapshot_epochs() == (10, 30, 50)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_load_under_their_own_name(name):
    config = load_recipe(name)
    assert config.recipe == name
    assert config.description


def test_the_recipes_of_the_design_are_there():
    assert {"seed", "map"} <= set(recipe_names())


def test_settings_may_leave_out_the_table():
    config = Config().with_settings(["epochs=3", "likelihood=normal", "name='my digits'", "betas=[0.5, 0.9]"])
    assert config.training.epochs == 3
    assert config.model.likelihood == "normal"
    assert config.data.name == "my digits"
    assert config.training.betas == (0.5, 0.9)
    for name in ("2024", "2024-01-01", "a = 3\nb", "my digits/"):
        assert Config().with_settings([f"name={name}"]).data.name == name


def test_batch_normalisation_needs_two_images():
    with pytest.raises(ConfigError, match="2 or more with a conv network"):
        load_recipe("seed").with_settings(["batch_size=1"])


def test_contrast_is_for_pixels_that_are_ink_or_paper():
    with pytest.raises(ConfigError, match="contrast other than 1 needs"):
        load_recipe("map").with_settings(["contrast=1.2", "likelihood=normal"])


def test_whole_numbers_widen_and_nothing_else_does():
    assert Config().with_settings(["learning_rate=1"]).training.learning_rate == 1.0
    for bad in ("learning_rate=true", "epochs=1.5", "epochs=true", "encoder=[1.5]", "encoder=3", "betas=[0.9]"):
        with pytest.raises(ConfigError):
            Config().with_settings([bad])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epoch=3", "did you mean 'epochs'"),
        ("training.learningrate=3", "did you mean 'learning_rate'"),
        ("modell.encoder=[3]", "did you mean 'model'"),
        ("zzzz=3", "there are:"),
        ("prior=norml", "did you mean 'normal'"),
        ("prior=vamp", "use one of: normal, mixture"),
        ("epochs=-1", "must be 1 or more"),
        ("batch_size=0", "must be 1 or more"),
        ("seed=-1", "from 0"),
        ("learning_rate=nan", "finite"),
        ("augmentation=2", "between 0 and 1"),
        ("augmentation_labels=1", "must be true or false"),
        ("contrast=0", "above 0"),
        ("latent_dim=true", "must be a whole number"),
        ("warmup=1", "up to 1"),
        ("encoder=[0]", "1 to 16384"),
        ("latent_dim=0", "1 to 512"),
        ("clip=-1", "0 or more"),
        ("clip=inf", "finite"),
        ("learning_rate=1" + "0" * 400, "must be a number"),
        ("seed=" + "9" * 5000, "must be a whole number"),
        ("seed=2024-01-01", "must be a whole number"),
    ],
)
def test_mistakes_are_said_with_what_to_do(setting, said):
    with pytest.raises(ConfigError, match=said):
        Config().with_settings([setting])


def test_mistakes_in_files_name_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[model]\nlatentdim = 3\n")
    with pytest.raises(ConfigError, match=r"mine\.toml.*did you mean 'latent_dim'"):
        load_recipe(str(path))
    path.write_text("[model\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_recipe(str(path))
    with pytest.raises(ConfigError, match="no recipe file"):
        load_recipe(str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match="must be a table"):
        Config.from_dict({"model": 3})


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().latent_dim = 3  # type: ignore[misc]
