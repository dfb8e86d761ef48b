"""One contract for every model: each recipe, and each prior with each likelihood on each network."""

import itertools

import pytest
import torch

from digitvae.checkpoint import load_model, save_model
from digitvae.config import Config, load_recipe, recipe_names
from digitvae.distributions import StandardNormal
from digitvae.models.vae import VAE
from digitvae.networks import UnitDropout
from digitvae.objective import elbo_terms

TOLD_CHANGES = ["augmentation_labels=true", "objective=quadrature", "posterior=lattice", "encoder=[]", "decoder=[16]"]
TOLD_CHANGES += ["basis=torus", "frequency=1", "beta_warmup=0"]
WIDTHS = {"mlp": ["encoder=[16]", "decoder=[16]"], "conv": ["encoder=[4,8]", "decoder=[4]"]}


def variants():
    for name in recipe_names():
        yield pytest.param(load_recipe(name), id=f"recipe {name}")
    for prior, likelihood, network in itertools.product(("normal", "mixture", "flow"), ("bernoulli", "normal"), WIDTHS):
        settings = [f"prior={prior}", f"likelihood={likelihood}", f"network={network}", *WIDTHS[network]]
        yield pytest.param(Config().with_settings([*settings, "latent_dim=3"]), id=f"{prior} {likelihood} {network}")
    for activation, basis, network in (
        ("silu", "none", "mlp"),
        ("tanh", "sin", "mlp"),
        ("leaky_relu", "sin", "conv"),
        ("gelu", "torus", "mlp"),
        ("relu", "torus", "conv"),
    ):
        settings = [f"activation={activation}", f"basis={basis}", f"network={network}", *WIDTHS[network], "frequency=1"]
        yield pytest.param(Config().with_settings(settings), id=f"{activation} {basis} {network}")
    yield pytest.param(Config().with_settings(TOLD_CHANGES), id="told changes alone")


@pytest.fixture(params=variants(), scope="module")
def config(request):
    return request.param


def told(model):
    """The model, for threes where it is told the digit."""
    return model.given(torch.tensor([3]))


@pytest.fixture
def model(config):
    return told(VAE.from_config(config.model, seed=0))


def noise_for(model, x, seed=0):
    return torch.randn(len(x), model.latent_dim, generator=torch.Generator().manual_seed(seed))


def test_shapes(model, x):
    posterior = model.encode(x[:6])
    latent = model.latent_dim
    assert posterior.loc.shape == posterior.log_var.shape == (6, latent)
    z = posterior.sample(torch.Generator().manual_seed(0), samples=4)
    likelihood = model.eval().decode(z)
    assert likelihood.mean.shape == likelihood.sample(torch.Generator()).shape == (4, 6, 1, 28, 28)
    assert likelihood.log_prob(x[:6]).shape == (4, 6)
    assert model.prior.sample(5, torch.Generator()).shape == (5, latent)
    assert model.prior.log_prob(z).shape == (4, 6)


def test_means_are_images(model, x):
    mean = model.eval().decode(model.prior.sample(50, torch.Generator().manual_seed(0))).mean
    assert ((mean >= 0) & (mean <= 1)).all()


def test_finite_gradients_reach_every_parameter(model, x):
    model.train()
    model.center(x.mean(0))
    elbo_terms(model, x, noise_for(model, x)).loss(1.0).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_evaluation_mode_never_changes_what_is_sampled(model, x):
    """With noise, terms differ from those at the posterior's loc in both modes; without batch statistics and dropout
    both modes agree."""
    noise = noise_for(model, x)
    terms = {}
    with torch.no_grad():
        for training in (True, False):
            model.train(training)
            terms[training] = elbo_terms(model, x, noise).distortion
            assert not torch.equal(terms[training], elbo_terms(model, x, torch.zeros_like(noise)).distortion)
    if not any(isinstance(m, torch.nn.BatchNorm1d | UnitDropout) for m in model.modules()):
        assert torch.equal(terms[True], terms[False])


def test_same_seed_same_weights_and_the_global_stream_is_left_alone(config):
    state = torch.get_rng_state()
    first, second, other = (VAE.from_config(config.model, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    same, different = (
        [torch.equal(a, b) for a, b in zip(first.parameters(), m.parameters(), strict=True)] for m in (second, other)
    )
    assert all(same)
    assert not all(different)


def test_save_and_load_give_the_same_model(model, config, x, tmp_path):
    save_model(tmp_path / "model", model, config, "card")
    loaded, read = load_model(tmp_path / "model")
    assert read == config
    assert not loaded.training
    with torch.no_grad():
        first, second = (told(m.eval()).encode(x) for m in (model, loaded))
    assert torch.equal(first.loc, second.loc)
    assert torch.equal(first.log_var, second.log_var)


def test_rate_is_never_negative_where_it_is_exact(model, x):
    terms = elbo_terms(model.eval(), x, noise_for(model, x))
    if isinstance(model.prior, StandardNormal):
        assert (terms.rate >= 0).all()
        assert (terms.rate_per_dimension >= 0).all()
    assert terms.rate.shape == terms.distortion.shape == (len(x),)


def test_the_loss_falls(model, x):
    x = x[:64]
    model.center(x.mean(0))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses: list[float] = []
    for step in range(25):
        optimizer.zero_grad()
        loss = elbo_terms(model.train(), x, noise_for(model, x, step)).loss(1.0).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        # Centred networks start at the mean image, so the fall is small at first.
        if len(losses) > 5 and sum(losses[-5:]) / 5 < losses[0] - 2:
            return
    pytest.fail(f"it does not: {losses}")


def test_metric_codes_are_near_where_codes_are(model):
    """Small steps have the length that the topology gives them; on a torus the two far ends of the plane meet."""
    z = model.prior.sample(20, torch.Generator().manual_seed(0)).double()
    places = model.metric_codes(z)
    if model.decoder.basis is None:
        assert torch.equal(places, z)
        return
    assert places.shape == (20, 2 * model.latent_dim)
    step = torch.zeros_like(z)
    step[:, 0] = 1e-4
    moved = torch.linalg.vector_norm(model.metric_codes(z + step) - places, dim=1)
    torch.testing.assert_close(moved, StandardNormal(1).log_prob(z[:, :1]).exp() * 1e-4, rtol=1e-3, atol=0)
    far = torch.full((2, model.latent_dim), 6.0, dtype=torch.float64) * torch.tensor([[1.0], [-1.0]])
    assert torch.dist(*model.metric_codes(far)) < 1e-6
