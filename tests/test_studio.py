"""Drawing without torch: the same digits as with it, the same bytes for the same seed, whoever draws which chunk."""

import os
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch

from digitvae.checkpoint import save_model
from digitvae.config import Config
from digitvae.errors import InputError, RunError
from digitvae.export import export_studio
from digitvae.generation import decode_images, encode_images
from digitvae.models.vae import VAE
from digitvae.studio import CHUNK, Studio, chunk_count


def drawn(studio_tiny, count, **settings):
    batches = list(studio_tiny.digits(count, **settings))
    hands = None if batches[0].hands is None else np.concatenate([b.hands for b in batches])
    return np.concatenate([b.images for b in batches]), np.concatenate([b.labels for b in batches]), hands


@pytest.mark.parametrize("n", [1, 7, 500])
def test_it_draws_what_torch_draws(studio_tiny, tiny_model, n):
    noise, labels = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32), np.arange(n) % 10
    model, label = tiny_model, torch.from_numpy(labels)
    with torch.no_grad():
        codes = model.given(label).prior.to_code(torch.from_numpy(noise))
    expected = decode_images(model, codes, labels=label).squeeze(1).numpy() * 255
    images = studio_tiny.draw(noise, labels)
    assert images.dtype == np.uint8
    assert np.abs(images - expected).max() <= 0.501


def test_styles_are_what_torch_finds(studio_tiny, tiny_model, splits_5k):
    digits = splits_5k.test.subset(slice(50))
    found = studio_tiny.style(digits.images, digits.labels)
    model, label = tiny_model, torch.from_numpy(digits.labels.astype(np.int64))
    with torch.no_grad():
        posterior = encode_images(model, digits.images, labels=label)
        expected, _ = model.given(label).prior.to_noise(posterior.loc)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_the_same_seed_draws_the_same_and_another_another(studio_tiny):
    first, again, other = (drawn(studio_tiny, 1500, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_chunks_can_be_drawn_apart_and_a_longer_set_begins_alike(studio_tiny):
    whole = drawn(studio_tiny, 2500)
    parts = [drawn(studio_tiny, 2500, chunks=range(place, place + 1)) for place in range(chunk_count(2500))]
    for position in (0, 1):
        np.testing.assert_array_equal(whole[position], np.concatenate([part[position] for part in parts]))
    np.testing.assert_array_equal(drawn(studio_tiny, 300)[0], whole[0][:300])


def test_all_ten_come_alike_unless_one_is_asked_for(studio_tiny):
    assert np.bincount(drawn(studio_tiny, CHUNK)[1]).tolist() == [CHUNK // 10] * 10
    assert set(drawn(studio_tiny, 50, digit=7)[1]) == {7}


def test_hands_share_the_digits_evenly_and_stay_themselves(studio_tiny):
    images, labels, hands = drawn(studio_tiny, 1700, hands=3)
    assert np.bincount(hands).tolist() == [567, 567, 566]
    assert all(a <= b for a, b in pairwise(hands.tolist()))
    styles = [studio_tiny.hand(number) for number in (0, 1, 0)]
    np.testing.assert_array_equal(styles[0], styles[2])
    assert not np.array_equal(styles[0], styles[1])
    assert drawn(studio_tiny, 10)[2] is None
    # Of one hand, two digits of a class are nearer to each other than those of two hands.
    flat = images.reshape(len(images), -1) / 255
    own = [flat[(hands == hand) & (labels == 3)] for hand in range(3)]
    within = np.mean([np.linalg.norm(a[:-1] - a[1:], axis=1).mean() for a in own])
    between = np.mean([np.linalg.norm(a[:50] - b[:50], axis=1).mean() for a, b in ((own[0], own[1]), (own[1], own[2]))])
    assert within < between


def test_temperature_zero_draws_each_digit_one_way(studio_tiny):
    images, labels, _ = drawn(studio_tiny, 200, temperature=0)
    for digit in range(10):
        assert len(np.unique(images[labels == digit], axis=0)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        *({"count": count} for count in (0, -3, 2**50)),
        *({"digit": digit} for digit in (10, -1)),
        *({"temperature": temperature} for temperature in (-0.1, float("nan"))),
        *({"hands": hands} for hands in (-1, 11)),
        *({"seed": seed} for seed in (-1, 2**63)),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(studio_tiny, wrong):
    with pytest.raises(InputError, match=r"must be|is 0 to 9|can be"):
        list(studio_tiny.digits(**{"count": 10, **wrong}))


def test_shapes_that_do_not_fit_are_refused(studio_tiny):
    with pytest.raises(InputError, match="Styles need"):
        studio_tiny.draw(np.zeros((2, 3)), np.array([1, 2]))
    with pytest.raises(InputError, match="Images need"):
        studio_tiny.style(np.zeros((2, 27, 28), np.uint8), np.array([1, 2]))
    with pytest.raises(InputError, match="no hand -1"):
        studio_tiny.hand(-1)


def test_folders_that_cannot_draw_are_refused(studio_folder, tmp_path):
    with pytest.raises(RunError, match="has no draw"):
        Studio(tmp_path)
    for name, problem in (("draw.onnx", "damaged"), ("hands.npz", "damaged")):
        broken = tmp_path / name
        shutil.copytree(studio_folder, broken)
        (broken / name).write_bytes(b"torn")
        with pytest.raises(RunError, match=problem):
            _ = Studio(broken).hands
    content = bytearray((studio_folder / "model.safetensors").read_bytes())
    content[-1] ^= 1  # within a weight
    shutil.copytree(studio_folder, tmp_path / "changed")
    (tmp_path / "changed" / "model.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="does not match its checksum"):
        Studio(tmp_path / "changed")


def test_it_takes_the_cores_that_it_may_use(studio_folder, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert Studio(studio_folder).threads == 1
    assert Studio(studio_folder, threads=2).threads == 2


def test_weights_that_are_alike_stay_apart(tmp_path):
    """Biases begin as zeros, all of one shape: none may be lost on the way."""
    settings = ["classes=10", "prior=flow", "latent_dim=4", "encoder=[32]", "decoder=[32]", "flow_width=8"]
    config = Config().with_settings([*settings, "flow_layers=4", "contrast=1.5"])
    model = VAE.from_config(config.model, 0).eval()
    assert sum(not parameter.any() for parameter in model.parameters()) > 1
    save_model(tmp_path / "new", model, config, "card")
    export_studio(tmp_path / "new", model)
    labels, noise = np.arange(20) % 10, np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    drawn = Studio(tmp_path / "new").draw(noise, labels)
    given = model.given(torch.from_numpy(labels))
    with torch.no_grad():
        expected = given.draw(given.prior.to_code(torch.from_numpy(noise))).mul(255).round().squeeze(1).numpy()
    assert np.abs(drawn.astype(float) - expected).max() <= 1


def test_only_models_that_are_told_the_digit_are_exported(tmp_path):
    plain = VAE.from_config(Config().with_settings(["encoder=[8]", "decoder=[8]"]).model, 0)
    with pytest.raises(InputError, match="classes 10"):
        export_studio(tmp_path, plain)
