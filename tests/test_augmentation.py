"""Random affine changes, held against SciPy's resampling of the same matrices."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from digitvae.augmentation import (
    LOG_SCALE,
    ROTATION_DEGREES,
    SHEAR_DEGREES,
    SHIFT_PIXELS,
    augment,
    augmentation_labels,
    changed,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images(digits):
    return torch.from_numpy(digits[:60, None].astype(np.float32) / 255)


def by_scipy(image, draws):
    """The same change: where each pixel comes from is rotation x shear x scale around the centre, then a shift."""
    angle, shear, log_x, log_y, shift_x, shift_y = (float(d) for d in draws)
    turn = math.radians(ROTATION_DEGREES) * angle
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    slant = np.array([[1, math.tan(math.radians(SHEAR_DEGREES) * shear)], [0, 1]])
    size = np.diag([math.exp(LOG_SCALE * log_x), math.exp(LOG_SCALE * log_y)])
    matrix = (rotation @ slant @ size)[::-1, ::-1]  # SciPy counts rows before columns
    shift = SHIFT_PIXELS * np.array([shift_y, shift_x])
    center = np.full(2, 13.5)
    offset = center + shift - matrix @ center
    return ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_it_is_the_affine_change_that_it_says(images, strength):
    draws = strength * (2 * torch.rand(60, 6, generator=seeded(3)) - 1)
    expected = np.stack([by_scipy(i[0].numpy(), d) for i, d in zip(images, draws, strict=True)])
    actual = augment(images, strength, seeded(3))
    assert actual.shape == images.shape
    np.testing.assert_allclose(actual[:, 0].numpy(), expected, atol=1e-4)


def test_strength_zero_changes_nothing(images):
    torch.testing.assert_close(augment(images, 0.0, seeded()), images, rtol=0, atol=1e-5)


def test_pixels_stay_in_range(images):
    changed = augment(images, 1.0, seeded())
    assert float(changed.min()) >= 0
    assert 0.9 < float(changed.max()) <= 1
    assert float((changed - images).abs().mean()) > 0.02


def test_each_image_is_changed_on_its_own(images):
    changed = augment(images[:1].expand(10, 1, 28, 28), 1.0, seeded())
    assert len({tuple(i.flatten().tolist()) for i in changed}) == 10


def test_draws_come_from_the_generator_alone(images):
    before = torch.get_rng_state()
    assert torch.equal(augment(images, 1.0, seeded(1)), augment(images, 1.0, seeded(1)))
    assert not torch.equal(augment(images, 1.0, seeded(1)), augment(images, 1.0, seeded(2)))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_digits_given_are_not_written_into(images):
    kept = images.clone()
    augment(images, 1.0, seeded())
    assert torch.equal(images, kept)


def test_changes_have_no_drift(images):
    """On average digits stay where they are: the mean shift of the centre of mass is 0, within 4 standard errors."""
    many = images[:20].repeat(100, 1, 1, 1)
    places = torch.arange(28.0)

    def centers(batch):
        mass = batch.sum((1, 2, 3))
        return torch.stack([(batch.sum((1, axis)) * places).sum(1) / mass for axis in (2, 3)], 1)

    moved = centers(augment(many, 1.0, seeded())) - centers(many)
    assert (moved.mean(0).abs() < 4 * moved.std(0) / len(moved) ** 0.5).all()
    assert (moved.std(0) > 0.5).all()


def test_labels_say_what_was_done(images):
    labels = augmentation_labels(len(images), 0.5, seeded())
    assert labels.shape == (60, 7)
    whole = labels[:, 6] == 1
    assert 15 < whole.sum() < 45
    assert (labels[~whole] == 0).all()
    assert (labels[whole, :6].abs() <= 1).all()
    for resampling in ("bilinear", "bicubic"):
        made = changed(images, 1.0, labels, resampling)
        torch.testing.assert_close(made[~whole], images[~whole], rtol=0, atol=1e-5)
        assert ((made - images)[whole].abs().flatten(1).mean(1) > 1e-3).all()
        assert (made >= 0).all()
        assert (made <= 1).all()


def test_bicubic_blurs_less(images):
    labels = augmentation_labels(len(images), 1.0, seeded())
    sharpness = [
        float(changed(images, 0.5, labels, how).diff(dim=-1).square().sum()) for how in ("bilinear", "bicubic")
    ]
    assert sharpness[0] < sharpness[1] < float(images.diff(dim=-1).square().sum()) * 1.1
