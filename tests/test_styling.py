"""Knobs, mixing and the way between, on a studio whose digits are scribbles, and on one that is made by hand."""

import numpy as np
import pytest

from digitvae.errors import InputError, RunError
from digitvae.models.hands import Hands
from digitvae.morphometry import measure
from digitvae.styling import UNITS, Knobs, between, edit_images, edit_styles, mix


class Bars:
    """Draws a bar on a foot: how it leans, how thick it is, how long the foot is are known functions of the style."""

    latent_dim = 4

    def __init__(self):
        shared = 0.5 * np.kron(np.ones((10, 10)), np.eye(4)).reshape(10, 4, 10, 4)
        self.hands = Hands(shared, np.zeros((10, 4)), np.tile(np.eye(4), (10, 1, 1)))

    def draw(self, noise, labels):
        rows = 13.5 - np.arange(28)[:, None]
        columns = np.arange(28)[None] - 13.5
        images = []
        for lean, thick, foot, _ in noise:
            half = 1.5 + np.tanh(thick)
            far = np.abs(columns - np.tan(0.2 * lean) * rows)
            bar = np.clip(half - far + 0.5, 0, 1) * (np.abs(rows) < 9)
            ends = np.abs(columns - np.tan(0.2 * lean) * -8)
            base = np.clip(6 + 2 * np.tanh(foot) - ends, 0, 1) * (np.abs(rows + 8) < half)
            images.append(np.rint(255 * np.maximum(bar, base)).astype(np.uint8))
        return np.stack(images)

    def style(self, images, labels):
        """As an encoder would: nearly right."""
        found, zero = measure(images), np.zeros(len(images))
        return np.column_stack([np.tan(np.deg2rad(found.slant)) / 0.2, zero, zero, zero])


@pytest.fixture(scope="module")
def bars():
    return Bars()


@pytest.fixture(scope="module")
def knobs(bars):
    noise = np.random.default_rng(0).normal(size=(600, 4)) * (1, 0.5, 0.5, 1)
    return Knobs.estimated(noise, np.arange(600) % 10, bars.draw(noise, np.arange(600) % 10))


def test_slopes_are_those_of_the_bars(knobs):
    degrees = knobs.slopes[:, 0, 0] * UNITS["slant"]
    assert (np.abs(degrees - np.rad2deg(0.2)) < 4).all()
    np.testing.assert_allclose(knobs.slopes[:, :, 3], 0, atol=0.3)
    assert (knobs.slopes[:, 1, 1] > 0.5).all()
    assert (knobs.slopes[:, 2, 2] > 0.3).all()


@pytest.mark.parametrize("slant", [-15.0, 0.0, 12.5])
@pytest.mark.parametrize("thickness", [None, 2.4, 3.6])
def test_knobs_are_set_and_held(bars, knobs, slant, thickness):
    noise, labels = np.random.default_rng(1).normal(size=(20, 4)) * (1, 0.3, 0.3, 1), np.arange(20) % 10
    before = measure(bars.draw(noise, labels))
    wanted = {"slant": slant, "thickness": thickness or before.thickness, "width": before.width}
    edited = edit_styles(bars, knobs, noise, labels, wanted)
    goal = thickness if thickness else before.thickness
    goals = {"slant": (slant, 1), "thickness": (goal, 0.3), "width": (before.width, 1)}
    for name, (value, most) in goals.items():
        assert np.mean(np.abs(getattr(edited.measured, name) - value) < most) >= 0.9, name
    np.testing.assert_array_equal(bars.draw(edited.noise, labels), edited.images)
    # What no knob needs goes a little of the way to what is usual, and no farther.
    assert np.mean(np.abs(edited.noise[:, 3]) <= np.abs(noise[:, 3]) + 0.1) >= 0.9
    assert np.corrcoef(edited.noise[:, 3], noise[:, 3])[0, 1] > 0.9


def test_each_digit_may_have_a_goal_of_its_own(bars, knobs):
    noise, labels, goals = np.zeros((5, 4)), np.arange(5), np.linspace(-20, 20, 5)
    edited = edit_styles(bars, knobs, noise, labels, {"slant": goals})
    np.testing.assert_allclose(edited.measured.slant, goals, atol=1)


def test_an_edit_that_asks_for_nothing_changes_nothing(bars, knobs):
    images = bars.draw(np.array([[0.3, 0.5, 0.0, 0.0]]), np.array([4]))
    np.testing.assert_array_equal(edit_images(bars, knobs, images, np.array([4]), {}).images, images)
    same = edit_images(bars, knobs, images, np.array([4]), {"slant": float(measure(images).slant[0])})
    assert np.abs(same.images.astype(int) - images).mean() <= 1


def test_real_digits_are_edited_by_their_own_measures(bars, knobs):
    images = bars.draw(np.array([[0.3, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]), np.array([4, 5]))
    edited = edit_images(bars, knobs, images, np.array([4, 5]), {"slant": 10})
    np.testing.assert_allclose(edited.measured.slant, 10, atol=1)


def test_the_style_of_one_in_the_digit_of_another(bars):
    images = bars.draw(np.array([[1.5, 0.0, 0.0, 0.0]]), np.array([7]))
    mixed = mix(bars, np.array([3]), images, np.array([7]))
    assert measure(mixed).slant[0] == pytest.approx(measure(images).slant[0], abs=2)


def test_the_way_between_starts_and_ends_there_and_goes_on(studio_tiny):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4))
    ends = (a, np.eye(10)[3]), (b, np.eye(10)[8])
    way = between(studio_tiny, *ends, steps=5)
    np.testing.assert_array_equal(way[[0, -1]], studio_tiny.draw(np.stack([a, b]), np.array([3, 8])))
    middle = studio_tiny.draw(((a + b) / 2)[None], (np.eye(10)[3] + np.eye(10)[8])[None] / 2)
    np.testing.assert_array_equal(way[2], middle[0])
    beyond = between(studio_tiny, *ends, steps=5, beyond=0.5)
    np.testing.assert_array_equal(beyond[0], studio_tiny.draw((a - 0.5 * (b - a))[None], np.array([3]))[0])
    assert len(beyond) == 5


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [({"length": 3}, "no knob"), ({"slant": 80}, "-60 to 60 degrees"), ({"thickness": float("nan")}, "1 to 8 pixels")],
)
def test_knobs_that_cannot_be_set_are_refused(bars, knobs, wanted, problem):
    with pytest.raises(InputError, match=problem):
        edit_styles(bars, knobs, np.zeros((1, 4)), np.array([1]), wanted)


def test_blank_images_and_bad_ways_are_refused(bars, knobs, studio_tiny):
    with pytest.raises(InputError, match="Image 1 has too little ink"):
        edit_images(bars, knobs, np.zeros((1, 28, 28), np.uint8), np.array([1]), {"slant": 3})
    end = (np.zeros(4), np.eye(10)[0])
    with pytest.raises(InputError, match="2 to 1,000 steps"):
        between(studio_tiny, end, end, 1)
    with pytest.raises(InputError, match="beyond the ends"):
        between(studio_tiny, end, end, 3, beyond=-1)
    with pytest.raises(InputError, match="more than 4 measured"):
        Knobs.estimated(np.zeros((10, 4)), np.arange(10), bars.draw(np.zeros((10, 4)), np.arange(10)))


def test_knobs_are_kept_beside_the_model(studio_tiny, knobs, tmp_path):
    assert Knobs.load(studio_tiny).slopes.shape == (10, 3, 4)
    knobs.save(tmp_path)
    studio = type("Elsewhere", (), {"folder": tmp_path, "latent_dim": 4})()
    np.testing.assert_array_equal(Knobs.load(studio).slopes, knobs.slopes)
    (tmp_path / "knobs.npz").write_bytes(b"torn")
    with pytest.raises(RunError, match="damaged"):
        Knobs.load(studio)
