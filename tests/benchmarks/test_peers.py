"""What the tables of speed are computed with, on cases done by hand."""

from benchmarks.matrix_share import operations
from benchmarks.peers import loss_at, written

from digitvae.config import Config, load_recipe

LINES = [{"seconds": seconds, "validation_loss": 200 - seconds} for seconds in (20.0, 59.0, 61.0, 150.0)]


def test_the_loss_at_a_time_is_that_of_the_last_epoch_that_ended_in_it():
    assert loss_at(LINES, 60) == 141
    assert loss_at(LINES, 600) == 50
    assert loss_at(LINES, 10) is None


def test_a_loss_that_took_longer_than_its_time_says_so():
    assert written(131.254, 60, 59.1) == "131.25"
    assert written(131.254, 60, 61.3) == "131.25 (after 61 s)"
    assert written(None, 60, 0) == "-"


def test_operations_of_a_step_by_hand():
    """2 for each weight forwards, 4 backwards; the first layer's input needs no derivative."""
    config = Config().with_settings(["network=mlp", "encoder=[8]", "decoder=[4]", "latent_dim=2"])
    first, others = 784 * 8, 2 * (8 * 2) + 2 * 4 + 4 * 784
    assert operations(config) == 4 * first + 6 * others


def test_operations_by_quadrature_are_those_of_the_points_and_of_images_held_against_them():
    config = load_recipe("exact").with_settings(["decoder=[8]", "lattice=[34]", "batch_size=17", "frequency=2"])
    assert operations(config) > 0
    doubled = config.with_settings(["batch_size=34"])
    assert operations(doubled) < operations(config)  # the points are shared by more images
