"""Training on the integrated likelihood: what test_training.py does not cover for every network."""

import pytest
import torch

from digitvae.config import Config
from digitvae.errors import ConfigError, InputError
from digitvae.objective import elbo_terms, log_prob_quadrature
from digitvae.optimization import matrix_products
from digitvae.training import Trainer

SETTINGS = ["encoder=[32]", "decoder=[32]", "basis=torus", "frequency=3", "objective=quadrature", "lattice=[13,55]"]
SETTINGS += ["binarization=dynamic", "epochs=4", "batch_size=32", "precision=float32", "basis_warmup=0.5"]


def make(digits, *settings):
    config = Config().with_settings([*SETTINGS, *settings])
    return Trainer(config, digits[:100], digits[100:150], torch.device("cpu"))


def test_waves_are_let_in_and_the_lattice_grows(digits):
    trainer = make(digits, "average=0.5")
    reach, sizes = [], []
    for _ in range(4):
        sizes.append(trainer._lattice_size())
        trainer.train_epoch()
        assert trainer.trained_model.decoder.basis.reach == trainer.model.decoder.basis.reach
        reach.append(float(trainer.model.decoder.basis.reach))
    assert sizes == [13, 13, 55, 55]
    assert reach == sorted(reach)
    assert reach[0] < 3
    assert reach[-1] == 3


def test_a_lengthened_plan_takes_no_waves_back(digits):
    trainer = make(digits)
    trainer.progress.epoch = trainer.progress.schedule_start = 1
    trainer.train_epoch()
    assert trainer.model.decoder.basis.reach == 3
    assert trainer._lattice_size() == 55


def test_validation_is_minus_the_log_probability_on_the_largest_lattice(digits):
    trainer = make(digits, "binarization=none")
    trainer.train_epoch()
    terms = trainer.validate()
    assert terms["loss"] == pytest.approx(terms["rate"] + terms["distortion"], abs=1e-4)
    assert terms["rate"] > 0
    assert terms["rate_per_dimension"] is None
    assert terms == trainer.validate()
    x = torch.from_numpy(digits[100:150]).unsqueeze(1).float() / 255
    estimates = log_prob_quadrature(
        trainer.model, x, 55, torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    )
    each = -estimates.mean(1)
    assert each.min() < terms["loss"] < each.max()


def test_the_encoder_is_fitted_to_the_posterior(digits):
    """Its ELBO rises above that of an encoder that says nothing, with a decoder that never saw it."""
    trainer = make(digits, "epochs=60", "learning_rate=5e-3", "schedule=constant")
    x = torch.from_numpy(digits[:100]).unsqueeze(1).float() / 255
    for _ in range(60):
        trainer.train_epoch()
    noise = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    fitted = elbo_terms(trainer.model, x, noise)
    blind = -trainer.model.decode(noise).log_prob(x)
    assert fitted.elbo.mean() > -blind.mean() + 10
    assert fitted.elbo.mean() < log_prob_quadrature(trainer.model, x, 987, torch.zeros(1, 2)).mean()


def test_products_of_float32_keep_their_sums_in_float32():
    """A sum of a hundred nats rounded to bfloat16 would be off by up to half a nat."""
    generator = torch.Generator().manual_seed(0)
    x, logits = torch.rand(64, 784, generator=generator).round(), torch.randn(610, 784, generator=generator)
    with matrix_products("bfloat16"):
        near = x @ logits.T
    exact = (x.double() @ logits.double().T).float()
    assert near.dtype == torch.float32
    assert (near - exact).abs().max() < 0.5
    assert (near - exact).abs().mean() < 0.1
    torch.testing.assert_close(x @ logits.T, exact, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("setting", ["beta=2", "beta_warmup=0.5", "latent_dim=4", "lattice=[]", "lattice=[0]"])
def test_what_cannot_be_integrated_is_refused(setting):
    with pytest.raises(ConfigError):
        Config().with_settings([*SETTINGS, setting])


def test_a_lattice_that_is_none_is_refused_at_once(digits):
    with pytest.raises(InputError, match="such as 89"):
        make(digits, "lattice=[55,100]")


def test_other_dimensions_have_lattices_too(digits):
    for dimensions in (1, 3):
        trainer = make(digits, f"latent_dim={dimensions}", "lattice=[50]", "frequency=2")
        assert trainer.train_epoch()
