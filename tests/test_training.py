"""The training loop: it can be stopped anywhere and goes on bit for bit, and its numbers are honest.

Nothing here touches a run directory: see test_running.py for that.
"""

import math

import numpy as np
import pytest
import torch

from digitvae.checkpoint import load_state, save_state
from digitvae.config import Config
from digitvae.errors import DataError, RunError, TrainingDivergedError
from digitvae.objective import elbo_terms
from digitvae.optimization import make_optimizer, resolve_precision, schedule
from digitvae.training import Trainer, stream_seed
from digitvae.validation import evaluate_terms

CPU = torch.device("cpu")
SMALL = {"mlp": ["encoder=[16]", "decoder=[16]"], "conv": ["network=conv", "encoder=[2,4,8]", "decoder=[4,2]"]}
SMALL["quadrature"] = [*SMALL["mlp"], "basis=torus", "frequency=2", "objective=quadrature", "lattice=[21,55]"]
EVERYTHING = ["augmentation=0.5", "binarization=dynamic", "average=0.9", "weight_decay=0.01", "clip=50"]
EVERYTHING += ["warmup=0.2", "basis_warmup=0.7", "dropout=0.3"]


def recipe(*settings, network="mlp"):
    defaults = ["epochs=3", "batch_size=32", "precision=float32", "schedule=constant"]
    return Config().with_settings([*SMALL[network], *defaults, *settings])


@pytest.fixture
def make(digits):
    """Makes trainers on 100 digits (so that the last of 4 batches is short) with 20 to validate."""
    return lambda config: Trainer(config, digits[:100], digits[100:120], CPU)


def train(trainer):
    """To the end of the recipe; what was measured after each epoch."""
    measured = []
    while trainer.progress.epoch < trainer.config.training.epochs:
        assert trainer.train_epoch()
        measured.append((trainer.progress.sums.means(), trainer.validate()))
    return measured


def assert_same_state(one, other):
    """Bit for bit: weights, average, optimiser, random streams, order, progress."""
    (tensors, facts), (other_tensors, other_facts) = one.state(), other.state()
    assert tensors.keys() == other_tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, other_tensors[name]), name
    assert {**facts, "epoch_seconds": 0} == {**other_facts, "epoch_seconds": 0}


@pytest.mark.parametrize("steps", [4, 6], ids=["at an epoch's end", "in mid-epoch"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", SMALL)
def test_a_stopped_run_goes_on_bit_for_bit(make, tmp_path, network, precision, steps):
    beta = [] if network == "quadrature" else ["beta_warmup=0.3"]
    config = recipe(*EVERYTHING, *beta, "epochs=2", f"precision={precision}", network=network)
    whole = make(config)
    measured = train(whole)

    first = make(config)
    asked = iter(range(1, 100))
    while first.train_epoch(stop=lambda: next(asked) >= steps) and first.progress.epoch * 4 < steps:
        pass
    assert (first.progress.epoch, first.progress.step) == divmod(steps, 4)
    save_state(tmp_path / "state", *first.state())

    second = make(config)
    second.load_state(*load_state(tmp_path / "state"))
    assert_same_state(second, first)
    assert train(second) == measured[steps // 4 :]
    assert_same_state(second, whole)


def test_a_state_does_not_change_when_training_goes_on(make):
    trainer = make(recipe(*EVERYTHING))
    trainer.train_epoch(stop=lambda: True)
    tensors, facts = trainer.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    images = facts["sums"]["images"]
    trainer.train_epoch(stop=lambda: True)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tensors.items())
    assert facts["sums"]["images"] == images == 32


@pytest.mark.parametrize("setting", ["encoder=[17]", "latent_dim=3", "average=0.5", "prior=mixture"])
def test_a_state_of_another_recipe_is_refused(make, setting):
    state = make(recipe()).state()
    with pytest.raises(RunError, match="another recipe"):
        make(recipe(setting)).load_state(*state)


def test_a_state_without_a_part_is_refused(make):
    tensors, facts = make(recipe()).state()
    del tensors["stream.latent"]
    with pytest.raises(RunError, match="another recipe"):
        make(recipe()).load_state(tensors, facts)


def test_a_state_of_another_kind_of_device_is_refused(make):
    tensors, facts = make(recipe()).state()
    tensors["stream.shuffle"] = torch.zeros(16, dtype=torch.uint8)  # as long as a GPU's
    with pytest.raises(RunError, match="another kind of device"):
        make(recipe()).load_state(tensors, facts)


def test_a_state_of_before_there_was_dropout_goes_on(make):
    tensors, facts = make(recipe()).state()
    del tensors["stream.dropout"]
    make(recipe()).load_state(tensors, facts)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(make):
    first, second, other = (make(recipe(f"seed={seed}", *EVERYTHING)) for seed in (1, 1, 2))
    assert train(first) == train(second) != train(other)
    assert_same_state(first, second)


def test_training_leaves_the_global_random_state_alone(make):
    before = torch.get_rng_state()
    train(make(recipe(*EVERYTHING)))
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_are_unrelated():
    names = ["shuffle", "latent", "binarization", "augmentation", "weights", "validation"]
    seeds = {stream_seed(seed, name) for seed in (0, 1, 2**63 - 1) for name in names}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", SMALL)
def test_the_loss_falls(make, network, precision):
    trainer = make(recipe("epochs=4", "learning_rate=0.01", f"precision={precision}", network=network))
    losses = [terms["loss"] for terms, _ in train(trainer)]
    assert losses[-1] < losses[0] - 5  # an mlp starts at the mean image, so most of the way is behind it


def test_bfloat16_stays_near_float32(make):
    """The products lose digits, the sums and the weights do not: after 12 steps the losses agree to 1 %."""
    losses = [train(make(recipe(f"precision={p}")))[-1][1]["loss"] for p in ("float32", "bfloat16")]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_kept_weights_are_float32(make):
    trainer = make(recipe("precision=bfloat16", *EVERYTHING, network="conv"))
    trainer.train_epoch()
    tensors, _ = trainer.state()
    assert torch.bfloat16 not in {t.dtype for t in tensors.values()}
    assert trainer.working.model is not trainer.model


def test_a_short_last_batch_is_weighed_by_its_images(digits):
    """Means are over images: with weights that stand still they follow from each image's own terms."""
    trainer = Trainer(recipe("batch_size=32", "learning_rate=1e-30"), digits[:40], digits[:1], CPU)
    trainer.train_epoch()
    latent = torch.Generator().manual_seed(stream_seed(0, "latent"))
    batches = [torch.from_numpy(digits[:40])[part].unsqueeze(1).float() / 255 for part in trainer.order.split(32)]
    assert [len(b) for b in batches] == [32, 8]
    noises = [torch.randn(len(batch), 2, generator=latent) for batch in batches]
    with torch.no_grad():
        terms = [elbo_terms(trainer.model, x, noise) for x, noise in zip(batches, noises, strict=True)]
    distortions = [t.distortion for t in terms]
    expected = float(torch.cat(distortions).double().mean())
    mean_of_means = float(torch.stack([d.mean() for d in distortions]).mean())
    assert abs(mean_of_means - expected) > 0.1  # so that the wrong mean would be seen
    assert trainer.progress.sums.means()["distortion"] == pytest.approx(expected, rel=1e-6)
    assert trainer.progress.sums.images == 40


def test_every_digit_is_seen_once_an_epoch(make):
    trainer = make(recipe())
    orders = []
    for _ in range(2):
        trainer.train_epoch()
        orders.append(trainer.order.tolist())
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(100))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_last_batch_of_one_digit_can_be_trained(digits, network):
    """Batch normalisation cannot normalise a single digit, and 33 digits in batches of 32 leave one."""
    trainer = Trainer(recipe(network=network), digits[:33], digits[:5], CPU)
    assert trainer.train_epoch()
    assert math.isfinite(trainer.validate()["loss"])


@pytest.mark.parametrize(("train_count", "validation_count"), [(0, 5), (1, 5), (5, 0)])
def test_too_few_digits_are_refused_at_once(digits, train_count, validation_count):
    with pytest.raises(DataError, match="at least two"):
        Trainer(recipe(), digits[:train_count], digits[:validation_count], CPU)


# Divergence


def poison(trainer, layer):
    """Not-a-number in one layer's bias, in the model that computes and in the one that is kept."""
    for model in (trainer.model, trainer.working.model):
        *_, last = (m for m in model.get_submodule(layer).modules() if isinstance(m, torch.nn.Linear))
        torch.nn.init.constant_(last.bias, math.nan)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_not_a_number_stops_the_run_with_the_place(make, precision):
    trainer = make(recipe(f"precision={precision}"))
    trainer.train_epoch()
    trainer.train_epoch(stop=lambda: True)
    poison(trainer, "decoder")
    with pytest.raises(TrainingDivergedError, match="is not finite at epoch 2, step 2: nan nats") as caught:
        trainer.train_epoch()
    assert "lower training.learning_rate (now 0.001)" in str(caught.value)


@pytest.mark.parametrize(("layer", "term"), [("encoder.log_var", "rate"), ("decoder", "distortion")])
def test_divergence_names_the_term_that_broke(make, layer, term):
    trainer = make(recipe())
    poison(trainer, layer)
    with pytest.raises(TrainingDivergedError, match=f"^The {term} is not finite at epoch 1, step 1"):
        trainer.train_epoch()


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_huge_learning_rate_is_caught(make, network):
    with pytest.raises(TrainingDivergedError, match=r"learning_rate \(now 1e\+06\)"):
        train(make(recipe("learning_rate=1e6", "epochs=20", network=network)))


# Schedule


@pytest.mark.parametrize(
    ("kind", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1, 1, 1, 1]),
        ("constant", 0.5, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("linear", 0.5, [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", 0.0, [(1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)]),
        ("cosine", 0.5, [0.25, 0.5, 0.75, 1, *((1 + math.cos(math.pi * i / 4)) / 2 for i in range(4))]),
    ],
)
def test_schedule(kind, warmup, expected):
    assert [schedule(kind, warmup, step, 8) for step in range(8)] == pytest.approx(expected)


def test_the_optimiser_gets_the_scheduled_rate(make):
    trainer = make(recipe("schedule=linear", "learning_rate=0.012", "beta=2", "beta_warmup=0.5"))
    rates, betas = [], []
    while trainer.progress.epoch < 3:
        betas.append(trainer.scheduled()[1])
        trainer.train_epoch(stop=lambda: True)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.001 * n for n in range(12, 0, -1)])
    assert betas == pytest.approx([2 * min(1, step / 6) for step in range(12)])


def test_the_first_step_is_adams(make):
    """Adam's first step has the length of the learning rate, for every weight that has a gradient."""
    trainer = make(recipe("learning_rate=0.01"))
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train_epoch(stop=lambda: True)
    moved = torch.cat([(p.detach() - before[n]).flatten().abs() for n, p in trainer.model.named_parameters()])
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-3)
    assert float((moved > 0.0099).float().mean()) > 0.5


def test_weight_decay_spares_biases_and_normalisation(make):
    model = make(recipe("weight_decay=0.1", network="conv")).model
    groups = make_optimizer(model, recipe("weight_decay=0.1").training, CPU).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names == {name for name, p in model.named_parameters() if p.ndim >= 2}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_average_is_that_of_the_weights(make):
    """Decay after n updates is min(0.9, (1 + n) / (10 + n)): worked out here in plain arithmetic."""
    trainer = make(recipe("average=0.9"))
    weight = trainer.model.encoder.loc.weight
    expected = None
    for count in range(8):
        trainer.train_epoch(stop=lambda: True)
        now = weight.detach().double().clone()
        decay = min(0.9, (1 + count) / (10 + count))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    actual = trainer.trained_model.encoder.loc.weight.detach()
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(actual, weight)


def test_clipping_bounds_the_gradient(make, monkeypatch):
    norms = []
    for clip in (0, 1):
        trainer = make(recipe(f"clip={clip}"))
        monkeypatch.setattr(
            trainer.optimizer,
            "step",
            lambda trainer=trainer: norms.append(
                float(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm())
            ),
        )
        trainer.train_epoch(stop=lambda: True)
    assert norms[0] > 2
    assert norms[1] == pytest.approx(1, rel=1e-4)


def test_precision():
    assert resolve_precision("bfloat16", CPU) == "bfloat16"
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("auto", CPU) in ("bfloat16", "float32")
    assert resolve_precision("auto", torch.device("mps")) == "float32"


# Data


def test_static_binarisation_never_changes(make, digits):
    first, second = (make(recipe("binarization=static", f"seed={seed}")) for seed in (0, 5))
    assert torch.equal(first.train_images, second.train_images)
    assert torch.equal(first.validation_images, second.validation_images)
    assert set(first.train_images.unique().tolist()) == {0, 255}
    before = first.train_images.clone()
    first.train_epoch()
    assert torch.equal(first.train_images, before)
    # Unbiased: the number of ink pixels has the grey values' sum as its mean, within 4 standard deviations.
    grey = digits[:100] / 255
    ink = float((first.train_images == 255).sum())
    assert abs(ink - grey.sum()) < 4 * math.sqrt((grey * (1 - grey)).sum())


def test_dynamic_binarisation_draws_anew_and_validates_on_one_draw(make):
    trainer = make(recipe("binarization=dynamic"))
    index = torch.arange(50)
    one, other = trainer._training_batch(index)[0], trainer._training_batch(index)[0]
    assert set(one.unique().tolist()) == {0, 1}
    assert not torch.equal(one, other)
    assert set(trainer.validation_images.unique().tolist()) == {0, 255}
    static = make(recipe("binarization=static"))
    assert torch.equal(trainer.validation_images, static.validation_images)


def test_grey_digits_are_left_alone(make, digits):
    trainer = make(recipe())
    batch = trainer._training_batch(torch.arange(100))[0]
    np.testing.assert_allclose(batch[:, 0].numpy(), digits[:100] / 255, rtol=1e-6)


def test_augmentation_ends_where_the_recipe_says(make, digits):
    trainer = make(recipe("augmentation=1", "augmentation_until=0.5", "epochs=2"))
    real = digits[:5].astype(np.float32)[:, None] / 255
    changed = []
    for _ in range(2):
        changed.append(not np.allclose(trainer._training_batch(torch.arange(5))[0].numpy(), real))
        trainer.train_epoch()
        trainer.progress.step = 1  # past the epoch's first step
    assert changed == [True, False]


def test_validation_digits_are_never_augmented(make):
    plain, augmented = make(recipe()), make(recipe("augmentation=1"))
    assert torch.equal(plain.validation_images, augmented.validation_images)
    assert not torch.equal(*(t._training_batch(torch.arange(10))[0] for t in (plain, augmented)))


# Validation


def test_validation_is_repeatable_and_changes_nothing(make):
    trainer = make(recipe(*EVERYTHING, network="conv"))
    trainer.train_epoch()
    before, _ = trainer.state()
    measured = trainer.validate()
    assert trainer.validate() == measured
    after, _ = trainer.state()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert measured["loss"] == pytest.approx(measured["rate"] + measured["distortion"])
    assert sum(measured["rate_per_dimension"]) == pytest.approx(measured["rate"])


def test_validation_has_the_recipes_beta_without_its_warmup(make):
    trainer = make(recipe("beta=0.5", "beta_warmup=1"))
    trainer.train_epoch()
    measured = trainer.validate()
    assert measured["rate"] > 0
    assert measured["loss"] == pytest.approx(0.5 * measured["rate"] + measured["distortion"])


def test_validation_is_of_the_average(make):
    trainer = make(recipe("average=0.9"))
    trainer.train_epoch()
    averaged, latest = (
        evaluate_terms(model, trainer.validation_images, 1.0, stream_seed(0, "validation"))
        for model in (trainer.averaged.module, trainer.model)
    )
    assert trainer.validate() == averaged != latest


def test_evaluation_gives_the_model_back_in_its_mode(make):
    trainer = make(recipe(network="conv"))
    for mode in (True, False):
        trainer.model.train(mode)
        evaluate_terms(trainer.model, trainer.validation_images, 1.0, 0)
        assert trainer.model.training is mode
