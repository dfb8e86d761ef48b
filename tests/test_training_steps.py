"""What a step of the training loop takes: the schedule, the optimiser, the digits; and what validation measures."""

import math

import numpy as np
import pytest
import torch
from tests.test_training import CPU, EVERYTHING, recipe

from digitvae.optimization import make_optimizer, resolve_precision, schedule
from digitvae.training import Trainer, stream_seed
from digitvae.validation import evaluate_terms


@pytest.fixture
def make(digits):
    """Makes trainers on 100 digits, in batches of 32, with 20 to validate."""
    return lambda config: Trainer(config, digits[:100], digits[100:120], CPU)


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
