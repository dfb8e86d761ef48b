"""Certificates of digits that must help, of digits that cannot, and of planted copies; the command that writes them."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import digitvae.evaluation.certificate as certificate
from digitvae.cli import certifying, main
from digitvae.data import Digits, Splits, write_npz
from digitvae.errors import InputError
from digitvae.evaluation.certificate import certify, draw_real, interval_error
from digitvae.evaluation.rivals import pca_gaussian
from digitvae.reading import ReaderRecipe, train_reader

SMALL = ReaderRecipe(widths=(8, 16), features=24, epochs=1, batch_size=20)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Readers that hardly learn, where they are not what is tested."""
    monkeypatch.setattr(certificate, "CLASSIFIER", SMALL)
    monkeypatch.setattr(certificate, "STEPS", 3)


@pytest.fixture
def _learning(monkeypatch):
    monkeypatch.setattr(certificate, "STEPS", 120)


@pytest.fixture(scope="module")
def few(splits_5k) -> Splits:
    """Half of the real training digits, and fewer to judge."""
    train, validation, test = splits_5k.train, splits_5k.validation, splits_5k.test
    return replace(
        splits_5k,
        name="few",
        train=train.subset(slice(1600)),
        validation=validation.subset(slice(50)),
        test=test.subset(slice(200)),
    )


@pytest.fixture(scope="module")
def others(splits_5k) -> Digits:
    """The other half."""
    return splits_5k.train.subset(slice(1600, None))


@pytest.fixture
def command(few, monkeypatch, tmp_path, capsys):
    """Runs `digitvae certify` on the few digits: exit code and what was on the screen."""

    def run(*arguments):
        monkeypatch.setattr(certifying, "load_data", lambda name, data_dir, fallback: few)
        monkeypatch.setattr(sys, "argv", ["digitvae", "certify", *map(str, arguments)])
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


def readers_of(content):
    return {measure["name"]: measure for measure in content["sections"]["readers"]["measures"]}


@pytest.mark.usefixtures("_learning")
def test_real_digits_of_another_half_help_and_are_no_copies(few, others):
    told = []
    content = certify(others, few, "others", [10], 3, lambda *now: told.append(now))
    readers = readers_of(content)
    gain = readers["gain, 10 a class"]
    assert gain["settings"]["verdict"] == "help"
    assert content["copy_audit"] == {"passed": True, "why": []}
    both, real = (readers[f"{name}, 10 a class"]["settings"]["shares"] for name in ("both", "real alone"))
    np.testing.assert_allclose(gain["settings"]["shares"], np.subtract(both, real))
    for measure in readers.values():
        shares = measure["settings"]["shares"]
        low, high = stats.t.interval(0.95, 2, np.mean(shares), stats.sem(shares))
        assert measure["value"] == pytest.approx((low + high) / 2)
        assert measure["settings"]["error"] == pytest.approx((high - low) / 2)
        assert measure["definition"].endswith(".")
        assert (measure["n"], measure["over"]) == (200, "3 seeds")
    assert [done for done, _, _ in told] == list(range(2 + 3 * 3 + 1))
    assert {of for _, of, _ in told} == {11}
    assert content["data"]["sha256"] == few.sha256
    assert content["generated"]["per_class"] == np.bincount(others.labels).tolist()
    assert json.loads(json.dumps(content)) == content


@pytest.mark.usefixtures("_learning")
def test_digits_with_random_labels_do_not_help(few, others):
    wrong = Digits(others.images, np.random.default_rng(0).integers(0, 10, len(others)).astype(np.uint8))
    readers = readers_of(certify(wrong, few, sizes=[30], seeds=2))
    assert readers["gain, 30 a class"]["value"] < 0
    assert readers["gain, 30 a class"]["settings"]["verdict"] != "help"
    assert readers["generated alone"]["value"] < 0.3


def test_the_same_digits_give_the_same_numbers(few, others):
    few = replace(few, test=None)
    first, second = (certify(others, few, sizes=[10], seeds=2) for _ in range(2))
    assert readers_of(first) == readers_of(second)
    assert first["sections"]["readers"]["digits"] == "validation"
    shares = readers_of(first)["real alone, 10 a class"]["settings"]["shares"]
    assert shares[0] != shares[1]


def test_every_reader_takes_as_many_steps_and_half_of_both_is_real(few, others, monkeypatch):
    orders = {}

    def watch(images, labels, recipe, seed, order):
        orders[len(images)] = order
        counts = torch.bincount(order.flatten(), minlength=len(images))
        for part in (counts[: len(others)], counts[len(others) :]):
            assert len(part) == 0 or part.max() - part.min() <= 1  # whole passes, but for the last
        return train_reader(images[:10], labels[:10], recipe, seed, order=order[:1] % 10)

    monkeypatch.setattr(certificate, "train_reader", watch)
    certify(others, replace(few, test=None), sizes=[10], seeds=2)
    assert orders.keys() == {1600, 100, 1700}
    assert {order.shape for order in orders.values()} == {(3, 20)}
    assert (orders[1700] >= 1600).sum(1).tolist() == [10] * 3


def test_an_order_of_shuffled_passes_is_what_a_reader_takes_by_itself(others):
    images, labels = others.images[:200], others.labels[:200]
    recipe = replace(SMALL, epochs=3)
    generator = torch.Generator().manual_seed(5)
    order = torch.cat([torch.randperm(200, generator=generator) for _ in range(3)]).view(30, 20)
    alone, told = train_reader(images, labels, recipe, 5), train_reader(images, labels, recipe, 5, order=order)
    for name, weights in alone.state_dict().items():
        assert torch.equal(weights, told.state_dict()[name])


def test_a_larger_draw_of_real_digits_holds_the_smaller(few):
    small, large = (draw_real(few.train, size, 3) for size in (10, 30))
    assert np.bincount(large.labels).tolist() == [30] * 10
    assert {image.tobytes() for image in small.images} <= {image.tobytes() for image in large.images}
    assert (draw_real(few.train, 10, 4).images != small.images).any()


def test_intervals_are_those_of_student():
    low, high = stats.t.interval(0.95, 4, 0, stats.sem([1.0, 2.0, 4.0, 8.0, 9.5]))
    assert interval_error([1.0, 2.0, 4.0, 8.0, 9.5]) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(("part", "name"), [("validation", "few"), ("test", "mnist-5k")])
def test_a_single_copy_of_any_real_digit_fails_the_audit(few, part, name):
    made = pca_gaussian(few.train, 200)
    made.images[7] = getattr(few, part).images[3]
    verdict = certify(made, replace(few, name=name), sizes=[10], seeds=2)["copy_audit"]
    assert verdict["passed"] is False
    assert verdict["why"][-1] == "exact copies: 1 of 200, allowed none"


def test_sizes_that_there_are_not_are_left_out(few, others):
    fewest = np.bincount(few.train.labels).min()
    content = certify(others, replace(few, name="mnist-5k"), sizes=[1000, 10], seeds=2)
    assert content["sizes"] == [10]
    assert "so 1,000 real labels per class are left out" in content["notes"][0]
    assert "seen in training" in content["notes"][1]
    assert content["copy_audit"]["passed"] is None  # copies of MNIST's other training digits cannot be ruled out
    with pytest.raises(InputError, match=f"has {fewest} training digits of its rarest class: too few for 500"):
        certify(others, few, sizes=[500, 1000])


def test_what_cannot_be_certified(few, others):
    with pytest.raises(InputError, match="mine has no labels"):
        certify(Digits(others.images), few, "mine")
    with pytest.raises(InputError, match="no digit 3, 8: a reader would never learn it"):
        certify(others.subset((others.labels != 3) & (others.labels != 8)), few)
    with pytest.raises(InputError, match="99 digits; a certificate needs 100"):
        certify(others.subset(slice(99)), few)
    with pytest.raises(InputError, match="whole numbers from 1"):
        certify(others, few, sizes=[0, 10])
    with pytest.raises(InputError, match="two seeds"):
        certify(others, few, seeds=1)
    with pytest.raises(InputError, match=r"the digits of few have none"):
        certify(others, replace(few, train=Digits(few.train.images)))


def test_the_command_writes_a_certificate_and_never_over_another(others, command, monkeypatch, tmp_path):
    write_npz(tmp_path / "made.npz", others.images, others.labels)
    arguments = ["made.npz", "--real", "10", "--seeds", "2"]
    code, said = command(*arguments)
    assert code == 0, said
    content = json.loads((tmp_path / "made-certificate.json").read_text())
    assert content["name"] == "made.npz"
    assert f"{100 * readers_of(content)['both, 10 a class']['value']:.2f} ±" in said
    assert "The copy audit passed." in said
    (tmp_path / "made-certificate.json").write_text("mine")
    code, said = command(*arguments)
    assert (code, len(said.strip().splitlines())) == (2, 1)
    assert "already exists" in said
    assert (tmp_path / "made-certificate.json").read_text() == "mine"
    undecided = content | {"copy_audit": {"passed": None, "why": ["too few"]}}
    monkeypatch.setattr(certificate, "certify", lambda *_: undecided)
    code, said = command(*arguments, "--out", "other.json")
    assert (code, said.strip().splitlines()[-1]) == (0, "The copy audit is not decided: too few.")


def test_planted_copies_fail_loudly(few, command, tmp_path):
    """The table is printed and written, a red line says why, and the exit code is 1."""
    made = pca_gaussian(few.train, 400)
    changed = np.where(few.train.images[:40] > 0, few.train.images[:40] - 1, 0)  # no pixel for pixel copies
    made.images[::10], made.labels[::10] = changed, few.train.labels[:40]
    (tmp_path / "kept.json").write_text("old")
    write_npz(tmp_path / "made.npz", made.images, made.labels)
    code, said = command("made.npz", "--real", "10", "--seeds", "2", "--out", "kept.json", "--overwrite")
    assert code == 1
    assert "real alone, %" in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("The copy audit FAILED: ")
    assert "near-duplicates (pixels): " in last
    assert "exact" not in last
    assert not json.loads((tmp_path / "kept.json").read_text())["copy_audit"]["passed"]


def test_near_copies_of_validation_digits_are_caught(few):
    """Whatever was trained on all of MNIST has seen them too."""
    made = pca_gaussian(few.train, 400)
    changed = np.where(few.validation.images[:40] > 0, few.validation.images[:40] - 1, 0)
    made.images[::10], made.labels[::10] = changed, few.validation.labels[:40]
    audit = certify(made, few, sizes=[10], seeds=2)["copy_audit"]
    assert not audit["passed"]
    assert audit["why"][0].startswith("near-duplicates (pixels)")


def test_bad_input_is_one_sentence_and_an_interrupt_leaves_nothing(others, command, monkeypatch, tmp_path):
    write_npz(tmp_path / "made.npz", others.images, others.labels)
    write_npz(tmp_path / "plain.npz", others.images)
    for arguments, sentence in (
        (["made.npz", "--real", "10;20"], "no list of real labels"),
        (["nowhere.npz"], "nowhere.npz"),
        (["plain.npz"], "plain.npz has no labels"),
    ):
        code, said = command(*arguments)
        assert (code, len(said.strip().splitlines())) == (2, 1)
        assert sentence in said

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(certificate, "sample_measures", interrupt)
    code, _ = command("made.npz")
    assert code == 130
    assert {file.name for file in tmp_path.iterdir()} == {"made.npz", "plain.npz"}
