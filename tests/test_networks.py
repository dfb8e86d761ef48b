"""Networks: the original's structure to the parameter, and convolutions against plain arithmetic."""

import numpy as np
import pytest
import torch

from digitvae.config import Config, load_recipe
from digitvae.errors import ConfigError
from digitvae.models.vae import VAE
from digitvae.networks import (
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    SameConv2d,
    SameConvTranspose2d,
    UnitDropout,
)
from digitvae.structure import count_parameters, layers_of

# From the notebook of the original report, layer by layer.
ORIGINAL_ENCODER = [
    ("input", (1, 28, 28), 0),
    ("convolution, 8 filters, stride 2, ReLU", (8, 14, 14), 80),
    ("batch normalisation", (8, 14, 14), 32),
    ("convolution, 16 filters, stride 2, ReLU", (16, 7, 7), 1_168),
    ("batch normalisation", (16, 7, 7), 64),
    ("flatten", (784,), 0),
    ("dense, ReLU", (20,), 15_700),
    ("batch normalisation", (20,), 80),
    ("dense: loc", (2,), 42),
    ("dense: log-variance", (2,), 42),
]
ORIGINAL_DECODER = [
    ("input", (2,), 0),
    ("dense, ReLU", (784,), 2_352),
    ("batch normalisation", (784,), 3_136),
    ("reshape", (16, 7, 7), 0),
    ("transposed convolution, 16 filters, stride 2, ReLU", (16, 14, 14), 2_320),
    ("batch normalisation", (16, 14, 14), 64),
    ("transposed convolution, 8 filters, stride 2, ReLU", (8, 28, 28), 1_160),
    ("batch normalisation", (8, 28, 28), 32),
    ("transposed convolution, 1 filters, stride 1", (1, 28, 28), 73),
]


@pytest.fixture
def seed_model():
    return VAE.from_config(load_recipe("seed").model, seed=0)


def test_recipe_seed_is_the_original_network(seed_model):
    rows = [(r.name, r.output_shape, r.parameters) for r in layers_of(seed_model.encoder, torch.zeros(1, 1, 28, 28))]
    assert rows == ORIGINAL_ENCODER
    rows = [(r.name, r.output_shape, r.parameters) for r in layers_of(seed_model.decoder, torch.zeros(1, 2))]
    assert rows == ORIGINAL_DECODER
    assert count_parameters(seed_model.encoder) == 17_208
    assert count_parameters(seed_model.decoder) == 9_137
    assert count_parameters(seed_model) == 26_345
    assert sum(p.numel() for p in seed_model.parameters()) == 24_641


def test_layers_of_leaves_the_network_as_it_was(seed_model):
    seed_model.train()
    before = {k: v.clone() for k, v in seed_model.state_dict().items()}
    layers_of(seed_model.encoder, torch.rand(1, 1, 28, 28))
    assert seed_model.encoder.training
    assert all(torch.equal(before[k], v) for k, v in seed_model.state_dict().items())
    assert not any(m._forward_hooks for m in seed_model.modules())


def test_same_convolution_is_what_keras_computes():
    torch.manual_seed(0)
    layer = SameConv2d(2, 3).double()
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    padded = np.pad(x[0].numpy(), ((0, 0), (0, 1), (0, 1)))
    weight = layer.weight.detach().numpy()
    wanted = np.empty((3, 3, 3))
    for filter_, row, column in np.ndindex(3, 3, 3):
        patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        wanted[filter_, row, column] = (patch * weight[filter_]).sum() + layer.bias[filter_].item()
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), wanted)


def test_transposed_convolution_is_the_adjoint():
    """<conv(x), y> = <x, transposed(y)> where both have the same weights and no bias."""
    torch.manual_seed(0)
    forward, back = SameConv2d(2, 3).double(), SameConvTranspose2d(3, 2).double()
    with torch.no_grad():
        back.weight.copy_(forward.weight)
        forward.bias.zero_()
        back.bias.zero_()
    x = torch.randn(4, 2, 14, 14, dtype=torch.float64)
    y = torch.randn(4, 3, 7, 7, dtype=torch.float64)
    torch.testing.assert_close((forward(x) * y).sum(), (x * back(y)).sum())


def test_transposed_convolution_is_torch_s_own_without_the_last_row_and_column():
    torch.manual_seed(0)
    layer = SameConvTranspose2d(3, 2).double()
    x = torch.randn(4, 3, 7, 5, dtype=torch.float64)
    whole = torch.nn.functional.conv_transpose2d(x, layer.weight, layer.bias, stride=2)
    torch.testing.assert_close(layer(x), whole[..., :-1, :-1])


@pytest.mark.parametrize("decoder", [MLPDecoder(3, [8, 9], "gelu"), ConvDecoder(3, [4, 2], "relu")])
def test_decoders_take_leading_sample_axes(decoder):
    decoder.eval()
    z = torch.randn(5, 4, 3)
    logits = decoder(z)
    assert logits.shape == (5, 4, 1, 28, 28)
    torch.testing.assert_close(logits[2], decoder(z[2]), rtol=1e-4, atol=1e-5)


def test_a_network_without_hidden_layers_is_linear():
    encoder = MLPEncoder(2, [], "relu")
    loc, _ = encoder(torch.rand(3, 1, 28, 28))
    assert loc.shape == (3, 2)


def test_log_var_stays_under_one_and_is_nearly_linear_below(x):
    encoder = MLPEncoder(2, [16], "relu")
    with torch.no_grad():
        encoder.log_var.weight.zero_()
        encoder.log_var.bias.copy_(torch.tensor([40.0, -6.0]))
    _, log_var = encoder(x[:1])
    assert log_var[0, 0].item() == pytest.approx(1)
    assert log_var[0, 1].item() == pytest.approx(-6, abs=1e-2)


def test_centering_starts_at_the_mean_image(x):
    torch.manual_seed(0)
    mean = x.mean(0)
    encoder, decoder = MLPEncoder(2, [64], "relu"), MLPDecoder(2, [64], "relu")
    encoder.center(mean)
    first = encoder.body[1]
    uncentered = first.bias + first.weight @ mean.flatten()
    assert uncentered.abs().max() <= 784**-0.5 + 1e-5
    decoder.center(mean)
    decoded = decoder(torch.zeros(1, 2)).sigmoid()
    assert (decoded[0] - mean).abs().max() < 0.2


@pytest.mark.parametrize("widths", [(8,), (8, 8, 8, 20)])
def test_conv_widths_that_do_not_fit_are_refused(widths):
    with pytest.raises(ConfigError, match=r"model\.encoder of a conv network must have 2 or 3 widths"):
        ConvEncoder(2, widths, "relu")


def test_conv_with_one_convolution():
    assert ConvEncoder(2, (4, 10), "relu")(torch.rand(2, 1, 28, 28))[0].shape == (2, 2)
    assert ConvDecoder(2, (4,), "relu")(torch.rand(2, 2)).shape == (2, 1, 28, 28)


def test_dropout_leaves_out_the_same_units_for_all_codes_and_keeps_the_mean():
    dropout = UnitDropout(0.25)
    dropout.generator = torch.Generator().manual_seed(0)
    out = torch.stack([dropout(torch.ones(3, 5, 200)) for _ in range(200)])
    assert torch.equal(out, out[:, :1, :1].expand_as(out))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert out[:, 0, 0].mean().item() == pytest.approx(1, abs=4 * (1 / 3 / 40_000) ** 0.5)
    assert torch.equal(dropout.eval()(torch.ones(3, 200)), torch.ones(3, 200))


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_dropout_is_for_training_alone_and_the_structure_does_not_show_it(network):
    settings = [f"network={network}", "decoder=[8]", "encoder=[4,8]", "dropout=0.5"]
    config = Config().with_settings(settings)
    model, plain = (VAE.from_config(c.model, 0) for c in (config, config.with_settings(["dropout=0"])))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    for decoder in (model.decoder, plain.decoder):
        decoder.eval()
    assert torch.equal(model.decoder(z), plain.decoder(z))
    assert layers_of(model.decoder, z[:1]) == layers_of(plain.decoder, z[:1])
    assert not torch.equal(model.decoder.train()(z), plain.decoder.train()(z))
