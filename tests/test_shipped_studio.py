"""The studio that comes with the package does what it is there for. Floors; the numbers are in `benchmarks/`."""

import subprocess
import sys

import numpy as np
import pytest

from digitvae.evaluation.hands import consistency
from digitvae.evaluation.sequences import verify
from digitvae.morphometry import measure
from digitvae.reading import frozen, read_digits
from digitvae.rundir import PRETRAINED
from digitvae.sequences import NumberSet, write_numbers
from digitvae.studio import Studio
from digitvae.styling import Knobs, edit_images, edit_styles, mix


@pytest.fixture(scope="module")
def studio():
    return Studio.load()


@pytest.fixture(scope="module")
def drawn(studio):
    return next(studio.digits(1000))


@pytest.fixture(scope="module")
def real(splits_5k):
    return splits_5k.test.subset(slice(0, 150))


def share_read(images, labels):
    return float(np.mean(read_digits(frozen("reader")[0], images).argmax(1).numpy() == labels))


def test_digits_are_what_was_asked_for(drawn):
    assert share_read(drawn.images, drawn.labels) > 0.99


def test_digits_vary_as_real_ones_do(drawn, splits_5k):
    ours, real = measure(drawn.images), measure(splits_5k.test.images)
    for name in ("slant", "thickness", "width"):
        spread = np.nanstd(getattr(ours, name)) / np.nanstd(getattr(real, name))
        assert 0.8 < spread < 1.25, name


def test_cold_digits_are_the_most_legible(studio):
    cold = next(studio.digits(500, temperature=0.5))
    assert share_read(cold.images, cold.labels) > 0.99


def test_a_style_found_in_a_real_digit_draws_it_again(studio, real):
    again = studio.draw(studio.style(real.images, real.labels), real.labels)
    mean = np.abs(again.astype(int) - real.images).mean()
    others = np.abs(np.roll(again, 1, axis=0).astype(int) - real.images).mean()
    assert mean < 0.35 * others


@pytest.mark.parametrize(("knob", "low", "high"), [("slant", -20, 25), ("thickness", 2.0, 4.0), ("width", 10, 20)])
def test_knobs_set_what_they_say_and_digits_stay(studio, real, knob, low, high):
    wanted = np.random.default_rng(0).uniform(low, high, len(real.images))
    edited = edit_images(studio, Knobs.load(studio), real.images, real.labels, {knob: wanted})
    got = getattr(edited.measured, knob)
    assert np.corrcoef(got, wanted)[0, 1] ** 2 > 0.85
    assert share_read(edited.images, real.labels) > 0.9


def test_an_edit_to_what_there_is_changes_next_to_nothing(studio, real):
    found = measure(real.images)
    same = {name: getattr(found, name) for name in ("slant", "thickness", "width")}
    edited = edit_images(studio, Knobs.load(studio), real.images, real.labels, same)
    assert np.abs(edited.images.astype(int) - real.images).mean() <= 1


def test_an_edit_can_be_taken_back(studio, real):
    """Not by construction, as the edit to what there is: the way back starts from what the first edit drew."""
    slant, knobs = measure(real.images).slant, Knobs.load(studio)
    there = edit_images(studio, knobs, real.images, real.labels, {"slant": np.minimum(slant + 10, 60)}).images
    back = edit_images(studio, knobs, there, real.labels, {"slant": slant}).images
    moved, left = (np.abs(images.astype(int) - real.images).mean() for images in (there, back))
    assert left < moved
    assert np.corrcoef(measure(back).slant, slant)[0, 1] ** 2 > 0.85


def test_hands_are_consistent_but_do_not_repeat_themselves(studio):
    hands, labels = np.repeat(np.arange(80), 20), np.tile(np.arange(10), 160)
    images = np.concatenate([batch.images for batch in studio.listed(hands, labels)])
    found = measure(images)
    for name, low, high in (("slant", 0.35, 0.75), ("thickness", 0.4, 0.8), ("width", 0.1, 0.5)):
        assert low < consistency(getattr(found, name), hands, labels).icc < high, name
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_a_hand_is_learned_from_examples(studio):
    """Ten digits by a hand that leans and ten by one that does not: what is written then leans accordingly."""
    labels, slants = np.arange(10), []
    for lean in (-1, 1):
        noise = studio.hands.noise(np.zeros((10, studio.latent_dim)), labels, np.random.default_rng(0), temperature=0.3)
        shown = edit_styles(studio, Knobs.load(studio), noise, labels, {"slant": 18.0 * lean}).images
        number = studio.learn(shown, labels)
        line = measure(studio.draw(studio.hand(number), labels))
        slants.append(np.nanmean(line.slant))
    assert slants[1] - slants[0] > 15


def test_a_style_is_carried_over(studio, real):
    slanted = measure(real.images).slant
    mixed = mix(studio, np.full(len(real.images), 5), real.images, real.labels)
    assert np.corrcoef(measure(mixed).slant, slanted)[0, 1] > 0.5
    assert share_read(mixed, 5) > 0.9


def test_written_numbers_can_be_read(tmp_path):
    """Cut out of their lines by their boxes, fitted anew and read."""
    write_numbers(NumberSet(40, "[0-9]{6}", hands=10), tmp_path / "numbers")
    assert verify(tmp_path / "numbers", "png").share > 0.97


def test_all_shipped_weights_are_small():
    assert sum(file.stat().st_size for file in PRETRAINED.rglob("*") if file.is_file()) < 25_000_000


def test_drawing_does_not_wait_for_what_it_does_not_need(tmp_path):
    code = "import sys; sys.argv = ['digitvae', 'generate', '-n', '3', '-o', 'a.npz']; from digitvae.cli import app; "
    code += "app(standalone_mode=False); assert not {'torch', 'scipy', 'skimage', 'sklearn'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
