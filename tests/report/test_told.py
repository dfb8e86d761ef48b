"""The report of a model that is told the digit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from digitvae.checkpoint import load_model
from digitvae.data import Digits
from digitvae.distributions import DiagonalNormal
from digitvae.generation import decode_images, encode_images, sample
from digitvae.morphometry import measure
from digitvae.reading import frozen, read_digits
from digitvae.report import write_report
from digitvae.report.coded import Coded, stream
from digitvae.report.learning import Curves
from digitvae.report.styles import draw_as, styles_of, styles_section
from digitvae.report.told import Measured, directions, told_snapshot
from digitvae.structure import count_parameters

FIGURES = ["classes", "losses", "map", "reconstructions", "samples"]


@pytest.fixture(params=["told", "told_the_digit_alone"])
def either(request):
    return request.getfixturevalue(request.param)


def number(text: str) -> float:
    return float(text.replace("−", "-").removesuffix(" %"))


def test_every_snapshot_has_its_section_and_figures(told, told_the_digit_alone) -> None:
    for report, epochs in ((told, [1, 2]), (told_the_digit_alone, [1])):
        assert [a["id"] for a in report.page.all("article")] == [f"epoch-{epoch:04d}" for epoch in epochs]
        for epoch in epochs:
            assert sorted(path.stem for path in report.run.snapshot(epoch).glob("*.png")) == FIGURES
    with Image.open(told.run.path / "snapshots" / "training.gif") as image:
        assert image.n_frames == 2
    assert not (told_the_digit_alone.run.path / "snapshots" / "training.gif").exists()


def test_what_reads_classes_out_of_codes_is_left_out_and_why_is_said(either) -> None:
    sections = [a["id"] for a in either.page.all("section")]
    assert sections == ["snapshots", "learning", "styles", "new", "networks", "theory", "made"]
    assert "codes need not say it: what reads classes out of codes" in either.html
    assert "was never told" not in either.html
    assert "the labels were never used" not in either.html


def test_what_the_model_is_told_is_said(told, told_the_digit_alone, written) -> None:
    assert "told how each training digit was changed" in told.html
    assert "how a training digit was changed</b>" in told.html
    assert "10 numbers of which one is 1, and 7 numbers that say" in told.html
    assert "90 % of the training digits are turned" in told.html
    assert "a Normal that learned layers bend" in told.html
    assert "told the digit</b>" in told_the_digit_alone.html
    assert "training digit was changed" not in told_the_digit_alone.html
    assert not told.page.tables("Rate of each dimension")  # a bent prior has no rate of one dimension
    assert told_the_digit_alone.page.tables("Rate of each dimension")
    assert "told the digit" not in written.html
    assert "None needed: unsupervised." in written.html
    assert "None needed: unsupervised." not in told.html
    assert "neither needs labels" in told.html


def test_digits_are_drawn_and_read_as_the_table_says(either) -> None:
    *_, (_, *rows) = either.page.tables("Numbers: samples")
    model, config = load_model(either.run.snapshot(either.run.snapshot_epochs()[-1]))
    labels = np.arange(1000) % 10
    images = sample(model, 1000, stream(config.training.seed, "samples"), labels).images
    read = read_digits(frozen("reader")[0], images).argmax(1).numpy()
    expected = [100 * (read == labels)[labels == digit].mean() for digit in range(10)]
    assert [number(row[2]) for row in rows] == pytest.approx(expected, abs=0.051)
    assert number(either.page.text("dd")[1]) == pytest.approx(np.mean(expected), abs=0.051)


def test_the_diagrams_are_those_of_the_live_networks(either) -> None:
    model, _ = load_model(either.run.snapshot(1))
    for network in (model.encoder, model.decoder):
        assert any(f"{count_parameters(network):,} parameters" in text for text in either.page.text("p"))


def test_the_same_run_gives_the_same_bytes_with_no_test_digits(told) -> None:
    files = [*told.run.path.glob("snapshots/*/*.png"), told.run.path / "snapshots" / "training.gif"]
    before = [file.read_bytes() for file in files]
    write_report(told.run, replace(told.splits, test=None))
    assert told.run.report_file.read_text(encoding="utf-8") == told.html
    assert [file.read_bytes() for file in files] == before


def coded_of(report) -> Coded:
    return Coded.load(report.run, report.run.snapshot_epochs()[-1], report.splits)


def test_codes_are_those_of_the_labels(either) -> None:
    coded, digits = coded_of(either), either.splits.validation
    posterior = encode_images(coded.model, digits.images, labels=digits.labels)
    assert torch.equal(coded.posterior.loc, posterior.loc)


def test_a_style_drawn_as_its_own_digit_is_the_reconstruction(either) -> None:
    coded, chosen = coded_of(either), list(range(20))
    labels = torch.from_numpy(coded.validation.labels[chosen].astype(np.int64))
    rebuilt = decode_images(coded.model, coded.posterior.loc[chosen], labels=labels).squeeze(1)
    styles = styles_of(coded, chosen)
    torch.testing.assert_close(torch.from_numpy(draw_as(coded.model, styles, labels)), rebuilt, atol=1e-4, rtol=0)
    whole = torch.nn.functional.one_hot(labels, 10).float()
    assert np.array_equal(draw_as(coded.model, styles, whole), draw_as(coded.model, styles, labels))
    assert not np.allclose(draw_as(coded.model, styles, (labels + 1) % 10), rebuilt, atol=0.01)


def test_random_styles_drawn_as_digits_are_samples(told) -> None:
    model, labels = coded_of(told).model, torch.arange(10)
    noise = model.prior.base.sample(10, torch.Generator().manual_seed(3))
    drawn = sample(model, 10, torch.Generator().manual_seed(3), labels).images.squeeze(1)
    torch.testing.assert_close(torch.from_numpy(draw_as(model, noise, labels)), drawn)


def test_directions_are_found_where_codes_hold_them(digits) -> None:
    """Codes made of measured slant and thickness, with a level of its own for each class; the third says nothing."""

    def codes(part: Digits, generator: np.random.Generator) -> torch.Tensor:
        found = measure(part.images)
        code = np.column_stack([found.slant / 10, found.thickness, generator.normal(size=len(part))])
        return torch.from_numpy(code + part.labels[:, None] * [1, -2, 3]).float()

    random = np.random.default_rng(0)
    loc = codes(digits.validation, random)
    coded = Coded(
        1, None, DiagonalNormal(loc, loc * 0), codes(digits.train, random), digits.validation, digits.train
    )  # fmt: skip
    along, explained = directions(coded, Measured.of(coded))
    np.testing.assert_allclose(along, [[10, 0, 0], [0, 1, 0]], atol=1e-3)
    np.testing.assert_allclose(explained, 1, atol=1e-4)
    nothing = torch.from_numpy(random.normal(size=loc.shape)).float()
    _, explained = directions(replace(coded, posterior=DiagonalNormal(nothing, loc * 0)), Measured.of(coded))
    assert max(explained) < 0.1


def test_few_or_blank_digits_are_enough(told) -> None:
    """One digit of two classes, one of them blank: nothing to measure, no second of a class, no 3."""
    images = told.splits.validation.images[:2].copy()
    images[0] = 0
    few = Digits(images, np.array([5, 6], np.uint8))
    make = replace(told.splits, train=few, validation=few)
    coded = Coded.load(told.run, 2, make)
    section = styles_section(coded, "two digits", 0)
    assert [picture.title for picture in section.right] == ["More and less usual styles"]
    assert "5 to 6" in section.left[1].alt
    curves = Curves.from_metrics(told.run.metrics())
    drawn, _ = told_snapshot(coded, Measured.of(coded), curves, (0.0, 1.0), 2, "two digits", 0)
    captions = [picture.caption for cell in drawn.cells for picture in cell]
    assert sum("Crosses could not be measured" in caption for caption in captions) == 1
    assert "Crosses" not in told.html
