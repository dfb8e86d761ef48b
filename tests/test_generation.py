"""What a model makes, held against its own encoder and decoder and against brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digitvae.config import ModelConfig
from digitvae.errors import InputError
from digitvae.generation import (
    decode_images,
    encode_images,
    latent_grid,
    nearest_images,
    posterior_draws,
    reconstruct,
    sample,
)
from digitvae.models.vae import VAE

SMALL = ModelConfig(encoder=(16,), decoder=(16,))
CONV = ModelConfig(network="conv", encoder=(4, 8, 16), decoder=(8, 4))


@pytest.fixture(scope="module")
def digits(splits_5k):
    return splits_5k.train.images[:60]


@pytest.fixture(params=[SMALL, CONV], ids=["mlp", "conv"])
def model(request):
    """A model in training mode, whose weights and statistics are far from their start."""
    model = VAE.from_config(request.param, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model.train()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_encoding_gives_the_models_own_posterior_in_any_form_and_batch(model, digits):
    whole = encode_images(model, digits)
    with torch.no_grad():
        wanted = model.eval().encode(torch.from_numpy(digits).unsqueeze(1) / 255)
    model.train()
    for given in (digits, torch.from_numpy(digits).unsqueeze(1), digits / 255, torch.from_numpy(digits) / 255):
        for batch in (25, 100):
            posterior = encode_images(model, given, batch)
            torch.testing.assert_close(posterior.loc, wanted.loc)
            torch.testing.assert_close(posterior.log_var, wanted.log_var)
    assert whole.loc.dtype == torch.float32


def test_decoding_gives_the_mean_and_never_logits(model):
    codes = 3 * torch.randn(2, 9, 2, generator=seeded())
    images = decode_images(model, codes, batch=5)
    with torch.no_grad():
        wanted = torch.sigmoid(model.eval().decoder(codes.reshape(-1, 2)))
    torch.testing.assert_close(images, wanted.reshape(2, 9, 1, 28, 28))
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_the_mode_and_the_statistics_of_the_model_are_left_as_they_were(model, digits, monkeypatch):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        sample(model, 3, seeded())
        posterior_draws(model, digits, 2, seeded())
        latent_grid(model, steps=2)
        assert all(part.training == training for part in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    def fail(x):
        raise RuntimeError

    monkeypatch.setattr(model, "encode", fail)
    with pytest.raises(RuntimeError):
        encode_images(model, digits)
    assert not model.training


def test_contrast_sharpens_what_is_drawn_and_leaves_the_likelihood(digits):
    plain, sharp = (VAE.from_config(replace(SMALL, contrast=contrast), seed=3) for contrast in (1.0, 1.5))
    codes = 3 * torch.randn(9, 2, generator=seeded())
    images = decode_images(sharp, codes)
    mean = decode_images(plain, codes)
    torch.testing.assert_close(images, mean**1.5 / (mean**1.5 + (1 - mean) ** 1.5))
    with torch.no_grad():
        x = torch.from_numpy(digits[:9]).unsqueeze(1) / 255
        assert torch.equal(sharp.decode(codes).log_prob(x), plain.decode(codes).log_prob(x))
        assert torch.equal(sharp.decode(codes).mean, plain.decode(codes).mean)


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_samples_come_from_the_prior_and_their_generator_alone(prior):
    model = VAE.from_config(ModelConfig(prior=prior, encoder=(16,), decoder=(16,)), seed=0)
    drawn = sample(model, 3000, seeded(1))
    with torch.no_grad():
        assert torch.equal(drawn.codes, model.prior.sample(3000, seeded(1)))
    torch.testing.assert_close(drawn.images, decode_images(model, drawn.codes))
    for tensor in (drawn.codes, drawn.images):
        assert not tensor.requires_grad
        assert not tensor.is_inference()
    torch.manual_seed(5)
    assert torch.equal(drawn.codes, sample(model, 3000, seeded(1)).codes)
    assert not torch.equal(drawn.codes, sample(model, 3000, seeded(2)).codes)
    if prior == "normal":
        torch.testing.assert_close(torch.cov(drawn.codes.T), torch.eye(2), atol=0.1, rtol=0)


def test_a_reconstruction_is_the_decoded_loc(model, digits):
    loc = encode_images(model, digits).loc
    torch.testing.assert_close(reconstruct(model, digits), decode_images(model, loc))


def test_posterior_draws_follow_each_images_posterior(digits):
    model = VAE.from_config(SMALL, seed=0)
    few = digits[:3]
    drawn = posterior_draws(model, few, 2000, seeded(4))
    posterior = encode_images(model, few)
    assert drawn.codes.shape == (2000, 3, 2)
    assert drawn.images.shape == (2000, 3, 1, 28, 28)
    oracle = torch.distributions.Normal(posterior.loc, posterior.scale)
    uniform = oracle.cdf(drawn.codes).sort(dim=0).values
    even = (torch.arange(2000).reshape(-1, 1, 1) + 0.5) / 2000
    assert (uniform - even).abs().max() < 0.044  # Kolmogorov-Smirnov: p = 0.0007 for each of six
    torch.testing.assert_close(drawn.images[7, 1], decode_images(model, drawn.codes[7, 1]))
    assert torch.equal(drawn.codes, posterior_draws(model, few, 2000, seeded(4)).codes)


def test_the_grid_has_its_highest_second_coordinate_at_the_top(model):
    grid = latent_grid(model, extent=3.0, steps=5)
    assert grid.axis.tolist() == [-3.0, -1.5, 0.0, 1.5, 3.0]
    assert grid.images.shape == (5, 5, 1, 28, 28)
    for row, column, code in ((0, 0, [-3.0, 3.0]), (0, 4, [3.0, 3.0]), (4, 1, [-1.5, -3.0]), (2, 2, [0.0, 0.0])):
        torch.testing.assert_close(grid.images[row, column], decode_images(model, torch.tensor(code)))


def test_the_grid_of_a_larger_latent_space_holds_the_others_at_zero():
    model = VAE.from_config(ModelConfig(latent_dim=4, encoder=(16,), decoder=(16,)), seed=0)
    grid = latent_grid(model, extent=2.0, steps=3)
    torch.testing.assert_close(grid.images[0, 1], decode_images(model, torch.tensor([0.0, 2.0, 0.0, 0.0])))


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("batch", [13, 2000])
def test_the_nearest_images_are_those_of_brute_force(splits_5k, digits, k, batch):
    few, among = digits[30:], splits_5k.train.images[40:160]  # holds a third of the digits themselves
    indices, distances = nearest_images(few, among, k, batch)
    apart = np.linalg.norm(few.reshape(-1, 1, 784).astype(np.float64) / 255 - among.reshape(1, -1, 784) / 255, axis=2)
    wanted = np.sort(apart, axis=1)[:, :k]
    np.testing.assert_allclose(distances.numpy(), wanted, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(apart, indices.numpy(), 1), wanted, atol=1e-5)
    assert distances.shape == indices.shape == (30, k)
    assert (distances[10:, 0] == 0).all()  # a copy is at zero, not at a rounding error
    assert indices[10:, 0].tolist() == list(range(20))


def test_nearest_images_takes_pixels_in_either_form(digits):
    indices, distances = nearest_images(digits[:5], digits)
    for given in (torch.from_numpy(digits[:5]).unsqueeze(1) / 255, digits[:5] / 255):
        other, apart = nearest_images(given, digits)
        assert torch.equal(indices, other)
        torch.testing.assert_close(distances, apart, atol=1e-5, rtol=0)


small = VAE.from_config(SMALL, seed=0)
blank = torch.zeros(2, 28, 28)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample(small, 0, seeded()),
        lambda: posterior_draws(small, blank, 0, seeded()),
        lambda: latent_grid(small, extent=0.0),
        lambda: latent_grid(small, extent=float("inf")),
        lambda: latent_grid(small, steps=1),
        lambda: latent_grid(VAE.from_config(ModelConfig(latent_dim=1), seed=0)),
        lambda: decode_images(small, torch.zeros(3)),
        lambda: encode_images(small, torch.zeros(2, 27, 28)),
        lambda: encode_images(small, torch.zeros(0, 28, 28)),
        lambda: encode_images(small, blank + 2),
        lambda: encode_images(small, blank * float("nan")),
        lambda: encode_images(small, blank.long()),
        lambda: nearest_images(blank, blank, k=3),
        lambda: nearest_images(blank, blank, k=0),
    ],
)
def test_what_cannot_be_used_is_refused(call):
    with pytest.raises(InputError):
        call()
