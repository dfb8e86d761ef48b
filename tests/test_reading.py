"""Readers: training repeats, learns, and refuses what it cannot use; files give the same network back."""

import numpy as np
import pytest
import torch

from digitvae.errors import InputError, RunError
from digitvae.reading import FROZEN, ReaderRecipe, digit_features, frozen, read_digits, save_reader, train_reader

SMALL = ReaderRecipe(widths=(8, 16), features=24, epochs=6, batch_size=20, augmentation=0.2)


@pytest.fixture(scope="module")
def labels(splits_5k):
    return splits_5k.train.labels[:200]


@pytest.fixture(scope="module")
def reader(digits, labels):
    return train_reader(digits, labels, SMALL, seed=0)


def test_a_reader_learns(reader, digits, labels):
    probability = read_digits(reader, digits)
    assert probability.shape == (200, 10)
    torch.testing.assert_close(probability.sum(1), torch.ones(200))
    assert (probability.argmax(1).numpy() == labels).mean() > 0.8


def test_the_same_seed_gives_the_same_reader_and_leaves_the_random_state_alone(reader, digits, labels):
    state = torch.random.get_rng_state()
    again = train_reader(digits, labels, SMALL, seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    other = train_reader(digits, labels, SMALL, seed=1)
    for name, weights in reader.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
    assert not torch.equal(reader.logits.weight, other.logits.weight)


def test_features_are_what_the_logits_are_made_of(reader, digits):
    features = digit_features(reader, digits)
    assert features.shape == (200, 24)
    assert (features >= 0).all()
    torch.testing.assert_close(reader.logits(features).softmax(1), read_digits(reader, digits))


@pytest.mark.parametrize("wrong", [np.zeros(3), np.full(200, 10), np.full(200, -1)])
def test_labels_that_do_not_fit_are_refused(digits, wrong):
    with pytest.raises(InputError, match="digit from 0 to 9"):
        train_reader(digits, wrong, SMALL, seed=0)


def test_a_file_of_another_network_is_refused(reader, tmp_path, monkeypatch):
    import digitvae.reading as reading

    save_reader(tmp_path / "pretrained" / "reader.safetensors", reader, SMALL, {"accuracy": 0.5})
    monkeypatch.setattr(reading.resources, "files", lambda package: tmp_path)
    frozen.cache_clear()
    with pytest.raises(RunError, match="another version"):
        frozen("reader")
    monkeypatch.setitem(FROZEN, "reader", SMALL)
    loaded, facts = frozen("reader")
    frozen.cache_clear()
    assert facts["accuracy"] == 0.5
    assert torch.equal(loaded.logits.weight, reader.logits.weight)


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_networks_read_real_digits(splits_5k, name):
    """They were trained on these digits: that the files are whole is all that is tested."""
    reader, facts = frozen(name)
    read = read_digits(reader, splits_5k.test.images).argmax(1).numpy()
    assert (read == splits_5k.test.labels).mean() > 0.985
    assert facts["validation_accuracy"] > 0.99
    assert facts["digits"] == 48_000
