from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from digitvae import rundir
from digitvae.checkpoint import load_model
from digitvae.config import Config
from digitvae.data import Splits
from digitvae.errors import RunError
from digitvae.evaluation.clustering import cluster_scores
from digitvae.figures import draw_pairs
from digitvae.generation import encode_images
from digitvae.report import measured, write_report
from digitvae.report.coded import unit
from digitvae.report.learning import Curves, collapse_words, fit_words, overfits
from digitvae.report.made import stopped_words
from digitvae.report.measured import MeasuredSection, measured_section
from digitvae.rundir import RunDirectory
from digitvae.structure import count_parameters

FIGURES = ["grid", "losses", "map", "posterior", "posterior-plane", "reconstructions", "samples"]


@pytest.fixture(params=["written", "unlabelled", "told", "told_the_digit_alone"])
def any_report(request):
    return request.getfixturevalue(request.param)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "").removesuffix(" %"))


def test_nothing_is_fetched_from_outside(any_report) -> None:
    for tag, attributes in any_report.page.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    outside = set(re.findall(r"https?://[^\s\"'<>)]+", any_report.html))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in any_report.html
    assert not re.search(r"url\((?!'?#)", unquote(any_report.html))


def test_links_lead_to_ids_and_ids_are_unique(any_report) -> None:
    ids = [attributes["id"] for _, attributes in any_report.page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = [a["href"][1:] for a in any_report.page.all("a")]
    for attribute in ("aria-labelledby", "aria-controls"):
        used += [a[attribute] for _, a in any_report.page.elements if attribute in a]
    assert used
    assert set(used) <= set(ids)


def test_every_picture_has_words(any_report) -> None:
    pictures = any_report.page.all("img")
    assert len(pictures) > 10
    assert all(len(picture["alt"]) > 20 for picture in pictures)
    assert all(int(picture["width"]) > 0 and int(picture["height"]) > 0 for picture in pictures)


def test_headings_are_in_order_and_the_language_is_said(any_report) -> None:
    page = any_report.page
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.all("a")[0]["class"] == "skip"


@pytest.mark.parametrize(("name", "epochs"), [("written", [1, 2, 3]), ("unlabelled", [2])])
def test_every_snapshot_has_its_section_and_figures(name: str, epochs: list[int], request) -> None:
    report = request.getfixturevalue(name)
    sections = [a["id"] for a in report.page.all("article")]
    assert sections == [f"epoch-{epoch:04d}" for epoch in epochs]
    for epoch in epochs:
        for figure in FIGURES:
            with Image.open(report.run.snapshot(epoch) / f"{figure}.png") as image:
                image.verify()
        assert report.run.snapshot_epochs() == epochs


def test_the_animation_has_a_frame_for_each_snapshot(written, unlabelled) -> None:
    with Image.open(written.run.path / "snapshots" / "training.gif") as image:
        assert image.n_frames == 3
    assert sum(picture["src"].startswith("data:image/gif") for picture in written.page.all("img")) == 1
    assert not (unlabelled.run.path / "snapshots" / "training.gif").exists()


def test_losses_in_the_tables_are_those_of_the_metrics(written) -> None:
    metrics = written.run.metrics()
    *snapshots, whole = written.page.tables("Numbers: loss")
    for table, until in zip([*snapshots, whole], [1, 2, 3, 3], strict=True):
        rows = table[1:]
        assert [int(row[0]) for row in rows] == list(range(1, until + 1))
        for row, record in zip(rows, metrics, strict=False):
            terms = [record[part][name] for part in ("train", "validation") for name in ("loss", "rate", "distortion")]
            assert [number(cell) for cell in row[1:]] == pytest.approx(terms, abs=0.0051)


def test_scores_in_the_table_are_those_of_the_evaluation(written) -> None:
    (table,) = written.page.tables("Clustering by snapshot")
    assert len(table) == 1 + 2 * 3
    for row, epoch in ((1, 1), (5, 3)):
        model, config = load_model(written.run.snapshot(epoch))
        codes = encode_images(model, written.splits.validation.images).loc.numpy()
        reference = encode_images(model, written.splits.train.images).loc.numpy()
        labels = written.splits.validation.labels
        scores = cluster_scores(codes, labels, reference, written.splits.train.labels, config.training.seed)
        for line, clustering in ((table[row], scores.k_means), (table[row + 1], scores.gaussian_mixture)):
            assert number(line[2]) == pytest.approx(100 * clustering.accuracy, abs=0.051)
            assert [number(cell) for cell in line[3:6]] == pytest.approx(
                [clustering.nmi, clustering.ari, clustering.silhouette], abs=0.00051
            )
            assert number(line[6]) == pytest.approx(100 * scores.neighbor_accuracy, abs=0.051)


def test_the_top_gives_the_final_loss_vote_and_data(written) -> None:
    values = written.page.text("dd")
    assert values[0] == f"{written.run.metrics()[-1]['validation']['loss']:.2f} nats"
    assert values[1] == written.page.tables("Clustering by snapshot")[0][-1][-1]
    assert values[3] == "600 digits"


def test_posteriors_in_the_table_are_those_of_the_encoder(written) -> None:
    model, _ = load_model(written.run.snapshot(3))
    table = written.page.tables("Numbers: posteriors")[-1]
    labels = written.splits.validation.labels
    for row in table[1:]:
        first = np.flatnonzero(labels == int(row[0]))[:1]
        posterior = encode_images(model, written.splits.validation.images[first])
        expected = [float(values[0, i]) for i in range(2) for values in (posterior.loc, posterior.scale)]
        assert [number(cell) for cell in row[1:5]] == pytest.approx(expected, abs=0.00051)


def test_the_diagrams_are_those_of_the_live_networks(written) -> None:
    model, _ = load_model(written.run.snapshot(3))
    for network in (model.encoder, model.decoder):
        assert any(f"{count_parameters(network):,} parameters" in text for text in written.page.text("p"))
    layers = written.page.text("li")
    assert any("dense, ReLU" in layer and "25,120 parameters" in layer for layer in layers)


def test_how_it_was_made_is_what_the_manifest_says(written) -> None:
    manifest = json.loads((written.run.path / "manifest.json").read_text())
    ((_, *rows),) = written.page.tables("Data and settings")
    facts = dict(rows)
    assert facts["data SHA-256"] == manifest["data"]["sha256"]
    assert facts["seed"] == str(manifest["seed"])
    ((_, *rows),) = written.page.tables("Sessions")
    assert dict(rows)["torch"] == torch.__version__
    assert manifest["sessions"][0]["command"] in written.page.text("pre")


def test_the_same_run_gives_the_same_bytes(unlabelled) -> None:
    figures = sorted(unlabelled.run.path.glob("snapshots/*/*.png"))
    assert len(figures) == len(FIGURES)
    before = [figure.read_bytes() for figure in figures]
    write_report(unlabelled.run, unlabelled.splits)
    assert unlabelled.run.report_file.read_text(encoding="utf-8") == unlabelled.html
    assert [figure.read_bytes() for figure in figures] == before
    assert not list(unlabelled.run.path.rglob("*.part"))


def test_without_labels_what_asks_for_classes_is_left_out(unlabelled) -> None:
    text = unlabelled.html
    assert "no labels" in text
    assert not unlabelled.page.tables("Clustering by snapshot")
    assert "keep the class" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "Turned upright." in text


def test_three_dimensions_are_said_to_be_shown_in_two(unlabelled) -> None:
    assert "first two of 3" in unlabelled.html
    ((_, *rows),) = unlabelled.page.tables("Rate of each dimension")
    rates = unlabelled.run.metrics()[-1]["validation"]["rate_per_dimension"]
    assert [number(row[1]) for row in rows] == pytest.approx([*rates, sum(rates)], abs=0.00051)


def test_one_dimension_a_learned_prior_and_another_likelihood(make) -> None:
    report = make("latent_dim=1", "prior=mixture", "likelihood=normal", "network=conv", "encoder=[4,8,16]",
                  "decoder=[8,4]", "snapshots=[1]", "binarization=static", epochs=1)  # fmt: skip
    assert "The latent line, decoded" in report.html
    assert "learned mixture of Normals" in report.html
    assert "running statistics of batch normalisation" in report.html
    assert not report.page.tables("Rate of each dimension")
    assert "binarization “static”" in report.html


def test_a_stopped_run_says_so(unlabelled) -> None:
    assert "stopped after epoch 2 of 9 planned" in unlabelled.html
    assert f"digitvae train --out {unlabelled.run.path} --resume" in unlabelled.html


def test_a_run_that_ended_by_patience_says_so() -> None:
    config = Config().with_settings(["epochs=9", "patience=2"])
    said = stopped_words(RunDirectory(Path("runs/x")), config, curves([3, 2, 1], [2, 3, 4]))
    assert said is not None
    assert "ended by itself after epoch 3 of 9" in said


def test_a_run_without_snapshots_is_refused(written, tmp_path) -> None:
    for name in ("config.toml", "manifest.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes((written.run.path / name).read_bytes())
    with pytest.raises(RunError, match="no snapshot yet"):
        write_report(RunDirectory(tmp_path), written.splits)


def curves(train: list[float], validation: list[float], rates: list[float] | None = None) -> Curves:
    def terms(values: list[float]) -> dict[str, np.ndarray]:
        loss = np.array(values)
        return {"loss": loss, "rate": loss * 0 + 5, "distortion": loss - 5}

    each = None if rates is None else np.tile(rates, (len(train), 1))
    return Curves(np.arange(1, len(train) + 1), terms(train), terms(validation), each)


def test_overfitting_is_said_with_its_size() -> None:
    said = curves([160, 150, 140], [160, 155, 158.5])
    assert overfits(said)
    assert "rose by 3.50" in " ".join(fit_words(said))
    assert not overfits(curves([160, 150, 140], [160, 155, 155.2]))
    assert "15.20 nats above training" in " ".join(fit_words(curves([160, 150, 140], [160, 155, 155.2])))
    assert "no sign" in " ".join(fit_words(curves([160, 150, 149], [160, 150, 149.5])))


def test_collapsed_dimensions_are_named() -> None:
    assert "dimensions 1 and 3 have collapsed" in str(collapse_words(curves([1], [1], [0.001, 2.0, 0.0])))
    assert collapse_words(curves([1], [1], [1.0, 2.0])) is None


def measure(name: str, value: float | None, unit: str = "", spread: float | None = None, **settings: object) -> dict:
    """A measure as evaluation.json has it."""
    over = "5 binarisations" if spread else ""
    return {"name": name, "value": value, "unit": unit, "spread": spread, "over": over, "n": 150, "settings": settings}


def section(value: float) -> dict:
    """A section of evaluation.json: three measures, the first of which is an integral that has not converged."""
    quadrature = {"points": 46_368, "change": 0.2, "shifts": 2, "spread_over_shifts": 0.01}
    measures = [measure("elbo", value, "nats", 0.5, **quadrature), measure("units", 2), measure("share", None, "share")]
    return {"digits": "test", "seconds": 3, "measures": measures}


def evaluation(run: RunDirectory, sha256: str) -> dict:
    """An evaluation.json of a run's weights and of the digits with this hash."""
    sections = {"density": section(-123.456) | {"binarization": "dynamic"}, "samples": section(1.5)}
    sections["clusters, test"] = {"digits": "test", "seconds": 0, "measures": [], "note": "All codes are alike."}
    sections["samples, class means"] = section(99.5)
    weights = json.loads((run.best / "config.json").read_text())["sha256"]
    return {"format": 1, "weights": weights, "data": {"caption": "Digits", "sha256": sha256}, "sections": sections}


def test_measures_are_shown_where_they_exist(make, written, digits) -> None:
    """Numbers of the file with how they were made, side by side for the samples; and the words of a quadrature run."""

    def evaluated(out: Path) -> None:
        (out / "evaluation.json").write_text(json.dumps(evaluation(RunDirectory(out), digits.sha256)))

    quadrature = ["objective=quadrature", "basis=torus", "lattice=[21]", "beta_warmup=0", "posterior=lattice"]
    made = make("snapshots=[1]", *quadrature, "encoder=[]", epochs=1, change=evaluated)
    assert "6 Gauss-Newton steps" in made.html
    assert "integral over all codes can be computed" in made.html
    assert "What was measured" not in written.html
    how = "46,368 points, 2 shifts ± 0.01 nats, last change +0.20: not converged"
    (density,), (samples,) = made.page.tables("Measured: density"), made.page.tables("Measured: samples")
    assert density[0] == ["measure", "value", "spread", "images", "how"]
    assert density[1] == ["elbo", "−123.46", "0.50 over 5 binarisations", "150", how]
    assert density[2:] == [["units", "2", "–", "150", "–"], ["share", "–", "–", "150", "–"]]
    assert samples[0] == ["measure", "this model", "class means", "how, this model"]
    assert samples[1] == ["elbo", "1.50 ± 0.50", "99.50 ± 0.50", how]
    assert "Clusters, test: not measured. All codes are alike." in made.html
    assert "Nearest to a copy" not in made.html


@pytest.fixture
def measured_run(written, tmp_path) -> RunDirectory:
    """A run of which the best weights are left alone."""
    shutil.copytree(written.run.best, tmp_path / "checkpoints" / "best")
    return RunDirectory(tmp_path)


def sections_of(run: RunDirectory, splits: Splits, content: dict) -> MeasuredSection | None:
    run.evaluation_file.write_text(json.dumps(content))
    return measured_section(run, splits)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"copy_audit": {"passed": True, "why": []}}, "Copy audit passed."),
        ({"copy_audit": {"passed": False, "why": ["too near"]}}, "Copy audit failed: too near."),
        ({}, "The copy audit was not made: the samples of the PCA Gaussian"),
        ({"seen_in_training": True}, "The copy audit was not made: the digits that judge were seen in training."),
    ],
)
def test_the_nearest_known_digits_are_shown_and_what_the_audit_said(said, words, measured_run, written, monkeypatch):
    """Validation digits too may have been copied: the 101st stands behind the 600 training digits."""
    drawn = []

    def draw(above, below, names):
        drawn.append(below)
        return draw_pairs(above, below, names)

    monkeypatch.setattr(measured, "draw_pairs", draw)
    content = evaluation(measured_run, written.splits.sha256)
    nearest = measure("nearest is trained on (pixels)", 0.9, "share", worst=[3, 1], worst_matches=[0, 700], error=0.1)
    content["sections"]["samples"]["measures"].append(nearest)
    content["sections"]["samples"] |= {"drawn": 20, **said}
    found = sections_of(measured_run, written.splits, content)
    assert found.copies.title == "Nearest to a copy"
    assert words in found.copies.caption
    np.testing.assert_array_equal(drawn[0][0], unit(written.splits.train.images[0]))
    np.testing.assert_array_equal(drawn[0][1], unit(written.splits.validation.images[100]))
    # Of other digits than the run's own the positions say nothing.
    content["data"]["sha256"] = "0"
    assert sections_of(measured_run, written.splits, content).copies is None


def test_measures_of_other_weights_and_torn_files_are_not_shown(measured_run, written) -> None:
    content = evaluation(measured_run, written.splits.sha256) | {"weights": "0"}
    assert "is of other weights" in sections_of(measured_run, written.splits, content).texts[0]
    measured_run.evaluation_file.write_text("{torn")
    assert measured_section(measured_run, written.splits) is None


def test_a_run_trained_on_the_likelihood_stands_beside_the_shipped_map(make, tmp_path, monkeypatch) -> None:
    """The gap in the table is the difference of its neighbours, and never below zero by more than chance."""
    rival = make("latent_dim=2", "data.train_on=all", epochs=1)
    shutil.copytree(rival.run.best, tmp_path / "map")
    monkeypatch.setattr(rundir, "PRETRAINED", tmp_path)
    assert "What the bound costs" not in rival.html
    for words in ("among those trained on", "all 750 digits that it was trained on", "cannot show overfitting"):
        assert words in rival.html
    assert "never trained on" not in rival.html
    quadrature = ["objective=quadrature", "lattice=[89]", "beta_warmup=0", "data.binarization=dynamic", "basis=torus"]
    made = make(*quadrature, epochs=2)
    assert "What the bound costs" in made.html
    assert "it has seen these digits in training" in made.html
    head, *rows = made.page.tables("ELBO and log p(x)")[0]
    assert head == ["", "ELBO", "log p(x)", "variational gap"]
    assert [row[0] for row in rows] == ["this run", "shipped map"]
    for _, elbo, log_prob, gap in rows:
        assert number(gap) == pytest.approx(number(log_prob) - number(elbo), abs=0.011)
        assert number(gap) > -1
    assert len(made.page.tables("log p(x) of these digits")[0][0]) == 11
