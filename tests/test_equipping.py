"""A model made able to draw: knobs from its own digits, hands from writers, as consistent as they are."""

import dataclasses

import numpy as np
import pytest
from tests.conftest import TINY
from tests.test_styling import Bars

from digitvae import equipping
from digitvae.checkpoint import save_model
from digitvae.config import Config
from digitvae.data import Digits
from digitvae.equipping import calibrated, compared, equip
from digitvae.errors import InputError, RunError
from digitvae.models.hands import Hands
from digitvae.morphometry import measure
from digitvae.studio import Studio
from digitvae.styling import Knobs

LEARNED = ("knobs.npz", "hands.npz")


def test_a_folder_is_equipped(tiny_model, splits_5k, tmp_path, monkeypatch):
    monkeypatch.setattr(equipping, "DRAWN", 1000)
    monkeypatch.setattr(equipping, "ROUNDS", 1)
    folder = tmp_path / "model"
    save_model(folder, tiny_model, Config().with_settings(TINY), "card")
    told = []
    digits = splits_5k.train.subset(slice(1200))
    writers = np.arange(len(digits)) % 30
    equip(folder, digits, writers, told.append)
    assert told[0] == "the computations"
    studio = Studio(folder)
    assert Knobs.load(studio).slopes.shape == (10, 3, 4)
    assert studio.hands.shared.shape == (10, 4, 10, 4)
    assert (
        len({image.tobytes() for image in studio.draw(np.random.default_rng(0).normal(size=(9, 4)), np.arange(9))}) == 9
    )
    first = {name: (folder / name).read_bytes() for name in LEARNED}
    monkeypatch.setattr(equipping, "export_studio", lambda *_: None)  # `test_same_bytes` exports twice
    equip(folder, digits, writers)
    assert first == {name: (folder / name).read_bytes() for name in LEARNED}
    (folder / "hands.npz").unlink()
    with pytest.raises(RunError, match=r"hands\.npz is missing"):
        _ = Studio(folder).hands


@pytest.mark.slow
def test_hands_are_raised_until_they_are_as_consistent_as_writers(monkeypatch):
    """Writers whose bars lean and are thick alike; hands that were estimated far too weak come up to them."""
    bars, rng = Bars(), np.random.default_rng(0)
    monkeypatch.setattr(equipping, "CHUNK", 500)
    labels, writers = rng.integers(0, 10, 3000), np.repeat(np.arange(150), 20)
    truth = Hands(0.8 * bars.hands.shared / 0.5, bars.hands.mean, bars.hands.scale)
    people = np.stack([truth.draw(rng) for _ in range(150)])
    styles = people[writers, labels] + truth.noise(np.zeros((10, 4)), labels, rng)
    images = bars.draw(styles, labels)
    knobs = Knobs.estimated(styles, labels, images)
    weak = dataclasses.replace(truth, shared=0.4 * truth.shared)

    def missed(hands):
        rng = np.random.default_rng(5)
        people = np.stack([hands.draw(rng) for _ in range(150)])
        made = bars.draw(people[writers, labels] + hands.noise(np.zeros((10, 4)), labels, rng), labels)
        pairs = zip(compared(measure(images), writers, labels), compared(measure(made), writers, labels), strict=True)
        return max(abs(real.cross_class - got.cross_class) for real, got in pairs)

    assert missed(weak) > 0.2
    assert missed(calibrated(bars, weak, knobs, images, labels, writers)) < 0.1


def test_hands_need_a_writer_for_each_digit(tmp_path):
    digits = Digits(np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="a writer for each"):
        equip(tmp_path, digits, np.zeros(2, np.int64))
