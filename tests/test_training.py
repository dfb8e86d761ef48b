"""The training loop: it can be stopped anywhere and goes on bit for bit, and its numbers are honest.

Nothing here touches a run directory: see test_running.py for that, and test_training_steps.py for what a step takes.
"""

import math

import pytest
import torch

from digitvae.checkpoint import load_state, save_state
from digitvae.config import Config
from digitvae.errors import DataError, RunError, TrainingDivergedError
from digitvae.objective import elbo_terms
from digitvae.training import Trainer, stream_seed

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


@pytest.mark.parametrize("change", [{"step": "one"}, {"best_loss": None}, {"sums": []}, {"sums": {"loss": "low"}}])
def test_a_state_whose_progress_is_no_numbers_is_refused(make, change):
    tensors, facts = make(recipe()).state()
    with pytest.raises(RunError, match="another recipe"):
        make(recipe()).load_state(tensors, facts | change)


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
