"""From a run on disk to evaluation.json, by the command and from Python, on real digits."""

import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tests.commands import digitvae

import digitvae.evaluation.density as density
import digitvae.evaluation.samples as samples
import digitvae.evaluation.smoothness as smoothness
import digitvae.evaluation.suite as suite
from digitvae.checkpoint import load_model, model_facts, save_model
from digitvae.config import load_recipe
from digitvae.data import Splits, load_digits, write_npz
from digitvae.data.own import names_of
from digitvae.errors import ConfigError, InputError, RunError
from digitvae.evaluation.density import Effort, density_measures
from digitvae.evaluation.files import (
    data_of,
    evaluate_folder,
    evaluation_file,
    reference_scores,
    score_folder,
    seen_in_training,
)
from digitvae.evaluation.scoring import Reference, score_images
from digitvae.evaluation.suite import evaluate_model, how, sampled
from digitvae.models.vae import VAE
from digitvae.reading import ReaderRecipe
from digitvae.rundir import RunDirectory
from digitvae.running import train_run
from digitvae.terminal import measures_table

SETTINGS = ["data.name=mnist-5k", "encoder=[16]", "decoder=[16]", "epochs=2", "lattice=[89]", "basis_warmup=0"]


@pytest.fixture(scope="module")
def few(splits_5k: Splits) -> Splits:
    return Splits(
        splits_5k.name,
        splits_5k.train.subset(slice(600)),
        splits_5k.validation.subset(slice(60)),
        splits_5k.test.subset(slice(50)),
        splits_5k.sha256,
    )


@pytest.fixture(scope="module")
def run(few, tmp_path_factory) -> RunDirectory:
    out = tmp_path_factory.mktemp("runs") / "exact"
    return train_run(load_recipe("exact").with_settings(SETTINGS), few, out).run


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Lattices and maps as small as tiny models need."""
    monkeypatch.setattr(density, "SIZES", (2584, 4181, 6765))
    monkeypatch.setattr(smoothness, "SIDE", 20)


def test_everything_is_measured_and_written(run, few):
    path = evaluation_file(str(run.path), None, few)
    assert path == run.evaluation_file
    said = []
    content = evaluate_folder(str(run.path), few, ["density", "clusters", "samples"], None, False, path, said.append)
    assert json.loads(path.read_text()) == content
    rivals = ["samples, real training digits", "samples, class means", "samples, PCA Gaussian"]
    sections = content["sections"]
    assert list(sections) == ["density", "clusters, validation", "clusters, test", "map", "samples", *rivals]
    densities = sections["density"]
    assert densities["binarization"] == "dynamic"
    measures = {m["name"]: m for m in densities["measures"]}
    assert measures["elbo"]["value"] < measures["log_prob_quadrature"]["value"] < -100
    assert all(m["definition"].endswith(".") for s in sections.values() for m in s["measures"])
    assert {m["n"] for m in densities["measures"]} == {50}
    fid, coverage, *_ = (
        {name: sections[name]["measures"][place]["value"] for name in ["samples", *rivals]} for place in (0, 5)
    )
    assert fid["samples, real training digits"] < fid["samples, PCA Gaussian"] < fid["samples, class means"]
    assert coverage["samples, class means"] < coverage["samples, real training digits"]
    assert {m["n"] for m in sections["clusters, validation"]["measures"]} == {60}
    assert content["data"]["sha256"] == few.sha256
    assert all("copy_audit" in sections[name] for name in ["samples", *rivals])
    assert not any(why.startswith("nearest") for why in sections["samples, PCA Gaussian"]["copy_audit"]["why"])
    assert any("lattice" in text for text in said)
    # What it takes to cite a number: seeds, sizes, the metric, the networks that judged.
    settings = {m["name"]: m["settings"] for s in sections.values() for m in s["measures"]}
    scored = {"binarization": "dynamic", "estimator": "log_prob_quadrature", "seed": 0, "points": 2584}
    assert settings["AUROC against flipped digits"] == scored
    assert settings["k-means: NMI"]["seeds"] == [0, 1, 2, 3, 4]
    on_circles = "Euclidean, each of the 2 dimensions a point on a circle"
    assert settings["10-neighbour accuracy"]["metric"] == settings["HDBSCAN: ARI"]["metric"] == on_circles
    assert len(settings["FID-digit"]["features"]) == len(settings["same digit nearby"]["reader"]) == 64
    assert settings["KID-digit"]["seed"] == sections["samples"]["seed"] == 0
    assert {section["effort"]["k"] for section in sections.values()} == {50}


def test_sections_of_the_same_weights_are_kept_and_of_others_not(run, few, tmp_path):
    path = tmp_path / "evaluation.json"
    evaluate_folder(str(run.path), few, ["clusters"], None, False, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": {"command": "before"}}))
    second = evaluate_folder(str(run.path), few, ["density"], "none", False, path)
    assert second["sections"]["clusters, test"]["machine"] == {"command": "before"} != second["machine"]
    assert "machine" not in second["sections"]["density"]
    # Measures of another binarisation do not stand among these.
    third = evaluate_folder(str(run.path), few, ["density"], "dynamic", False, path)
    assert not any("cross-entropy" in measure["name"] for measure in third["sections"]["density"]["measures"])
    assert evaluate_folder(str(run.path), replace(few, sha256="0" * 64), [], None, False, path)["sections"] == {}
    path.write_text("torn{")
    assert evaluate_folder(str(run.path), few, [], None, False, path)["weights"] == second["weights"]


def test_a_stop_loses_the_section_under_way_alone(run, few, tmp_path, monkeypatch):
    def stop(model):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "cluster_measures", lambda *codes, metric: [])
    monkeypatch.setattr(suite, "map_measures", stop)
    path = tmp_path / "e.json"
    with pytest.raises(KeyboardInterrupt):
        evaluate_folder(str(run.path), few, ["clusters"], None, False, path)
    assert list(json.loads(path.read_text())["sections"]) == ["clusters, validation", "clusters, test"]


def test_what_turns_out_to_be_impossible_is_a_note(few, monkeypatch):
    """All codes of an encoder without weights are alike; the other sections are measured."""
    model = VAE.from_config(load_recipe("map").with_settings(["encoder=[16]", "decoder=[16]"]).model, 0).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
    sections = evaluate_model(model, few, "dynamic", ["clusters"])
    assert sections["clusters, test"]["measures"] == []
    assert "10 different ones" in sections["clusters, test"]["note"]
    assert len(sections["map"]["measures"]) == 3
    screen = Console(file=io.StringIO(), width=200)
    screen.print(measures_table({"model": "m", "data": {"caption": "digits"}, "sections": sections}))
    assert "10 different ones" in screen.file.getvalue()

    def damaged(model):
        raise RunError("The reader is damaged.")

    monkeypatch.setattr(suite, "map_measures", damaged)
    with pytest.raises(RunError, match="damaged"):
        evaluate_model(model, few, "dynamic", ["clusters"])


def test_a_model_folder_writes_beside_the_user_over_its_own_measures_alone(run, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = evaluation_file(str(run.best), None, few)
    assert str(path) == "best-evaluation.json"
    evaluate_folder(str(run.best), few, [], None, False, path)
    assert evaluation_file(str(run.best), None, few) == path
    with pytest.raises(RunError, match="exists and is no evaluation of this model on these digits"):
        evaluation_file(str(run.best), None, replace(few, sha256="0" * 64))
    path.write_text("mine")
    with pytest.raises(RunError, match="exists"):
        evaluation_file(str(run.best), None, few)
    with pytest.raises(RunError, match="neither a run directory nor a model folder"):
        evaluation_file("nowhere", None, few)
    assert data_of(str(run.best)) == "mnist"
    assert data_of(str(run.path)) == "mnist-5k"


def test_validation_digits_stand_for_missing_test_digits(run, few):
    model, _ = load_model(run.best)
    sections = evaluate_model(model, replace(few, test=None), "dynamic", ["clusters"])
    assert list(sections) == ["clusters, validation", "map"]


def test_what_cannot_be_measured_is_said(run, few, tmp_path):
    out = tmp_path / "e.json"
    with pytest.raises(InputError, match="no metric 'densty'"):
        evaluate_folder(str(run.path), few, ["densty"], None, False, out)
    with pytest.raises(InputError, match="cannot be 'grey'"):
        evaluate_folder(str(run.path), few, ["density"], "grey", False, out)
    unlabelled = replace(few, train=replace(few.train, labels=None))
    with pytest.raises(InputError, match="have none"):
        evaluate_folder(str(run.path), unlabelled, ["clusters"], None, False, out)
    assert not out.exists()


def test_the_command_prints_a_table(run, few, tmp_path):
    write_npz(tmp_path / "few.npz", few.train.images[:300], few.train.labels[:300])
    arguments = ["evaluate", run.path, "--metrics", "clusters, clusters"]
    arguments += ["--data", tmp_path / "few.npz", "--out", tmp_path / "evaluation.json"]
    done = digitvae(*arguments, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert "10-neighbour accuracy" in done.stderr
    assert "evaluation.json" in done.stderr


def test_scores_of_a_users_digits(run, few, tmp_path):
    """Noise is rarer than all real digits, and the file has a line for each image."""
    noise = np.zeros((3, 28, 28), np.uint8)
    noise[:, 4:24, 4:24] = 255 * np.random.default_rng(0).integers(0, 2, (3, 20, 20))
    np.savez(tmp_path / "mine.npz", images=np.concatenate([noise, few.test.images[:30]]))
    out = tmp_path / "scores.csv"
    command = ["score", tmp_path / "mine.npz", "--model", run.path, "--out", out]
    done = digitvae(*command)
    assert done.returncode == 0, done.stderr
    assert "rarer than all real" in done.stderr
    head, *lines = out.read_text().splitlines()
    assert head == "image,log_prob_quadrature,percentile,binarization"
    assert lines[0].split(",")[0] == "1"
    assert lines[0].endswith(",dynamic")
    assert len(lines) == 33
    assert [float(line.split(",")[2]) for line in lines[:3]] == [0, 0, 0]
    again = digitvae(*command)
    assert again.returncode == 2
    assert "exists" in again.stderr


@pytest.mark.parametrize("settings", [["latent_dim=2"], ["latent_dim=5"]])
def test_a_score_depends_on_its_image_alone(settings, few):
    config = load_recipe("map").with_settings(["encoder=[16]", "decoder=[16]", *settings])
    model = VAE.from_config(config.model, 0)
    for binarization in ("none", "dynamic"):
        reference = Reference.measured(model, few.validation.images, binarization, "digits")
        assert reference.cross_entropy == (binarization == "none")
        together = score_images(model, few.test.images[:5], reference).log_prob
        alone = [score_images(model, few.test.images[n : n + 1], reference).log_prob[0] for n in range(5)]
        np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_normal_likelihood_of_grey_pixels_is_a_density(few):
    config = load_recipe("map").with_settings(["encoder=[16]", "decoder=[16]", "likelihood=normal"])
    model = VAE.from_config(config.model, 0)
    assert not Reference.measured(model, few.validation.images, "none", "digits").cross_entropy
    assert "elbo" in [m.name for m in density_measures(model, few.test.images[:5], "none", Effort(1, 2, 5))]


def test_pictures_are_called_by_their_files(tmp_path):
    for name in ("3/b.png", "3/a.png", "1/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image = np.zeros((28, 28), np.uint8)
        image[5:24, 12:16] = 255
        Image.fromarray(image).save(tmp_path / name)
    digits, _ = load_digits(tmp_path)
    assert names_of(tmp_path, len(digits)) == ["1/c.png", "3/a.png", "3/b.png"]
    assert digits.labels.tolist() == [1, 3, 3]
    assert names_of(tmp_path / "1" / "c.png", 1) == ["c.png"]


def test_the_full_form_scores_classifiers_and_says_who_labelled(run, few, tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "TRAINED_ON", 300)
    monkeypatch.setattr(samples, "CLASSIFIER", ReaderRecipe(widths=(8, 16), features=24, epochs=1, batch_size=20))
    out = tmp_path / "full.json"
    sections = evaluate_folder(str(run.path), few, ["samples"], "dynamic", True, out)["sections"]
    for name, drawn in (("samples", 300), ("samples, real training digits", 300)):
        score = sections[name]["measures"][-1]
        assert score["name"] == "classification accuracy score"
        assert score["over"] == "3 seeds"
        assert score["settings"]["seeds"] == [0, 1, 2]
        assert sections[name]["drawn"] == drawn
        assert score["settings"]["labelled_by"] == ("frozen reader" if name == "samples" else "generator")
    assert "labelled by the frozen reader" in how(sections["samples"]["measures"][-1])
    # The quick form does not make the score anew, and says so.
    again = evaluate_folder(str(run.path), few, ["samples"], "dynamic", False, out)["sections"]["samples"]["measures"]
    assert again[-1]["value"] == sections["samples"]["measures"][-1]["value"]
    assert again[-1]["effort"]["classifiers"]
    assert "digitvae" in again[-1]["machine"]
    assert how(again[-1]).endswith("kept from an earlier evaluation")
    assert "effort" not in again[0]


def test_what_cannot_be_measured_or_written_is_said_before_the_work(run, few, tmp_path):
    def fewer(**parts: int) -> Splits:
        return replace(few, **{name: getattr(few, name).subset(slice(count)) for name, count in parts.items()})

    said = []
    for digits, metrics, sentence in (
        (replace(few, train=replace(few.train, labels=None)), ["density", "clusters"], "leave the metric out"),
        (fewer(validation=8), ["density", "clusters"], "more than 10 validation digits, not 8"),
        (fewer(test=5), ["density", "samples"], "more than 5 test digits, not 5"),
        (fewer(train=20, validation=20), ["density", "samples"], "test digits, 50 or more, and there are 40"),
    ):
        with pytest.raises(InputError, match=sentence):
            evaluate_folder(str(run.path), digits, metrics, None, False, tmp_path / "e.json", said.append)
    assert said == []
    with pytest.raises(RunError, match="There is no folder"):
        evaluation_file("map", tmp_path / "nowhere" / "e.json", few)


def test_percentiles_are_shares_of_real_digits_below(run, few):
    scores = score_folder(str(run.path), few.validation, None, lambda: few)
    assert scores.reference.digits == "60 validation digits of MNIST (5,000-digit subset)"
    order = np.argsort(scores.log_prob)
    np.testing.assert_allclose(scores.percentile[order], 100 * np.arange(60) / 60)
    grey = score_folder(str(run.path), few.validation, "none", lambda: few)
    assert not np.allclose(grey.log_prob, scores.log_prob)
    with pytest.raises(ConfigError, match="cannot be 'gray'"):
        score_folder(str(run.path), few.validation, "gray", lambda: few)


def test_a_model_that_carries_scores_needs_no_data(run, few, tmp_path):
    """Carried quantiles place digits as the digits themselves do, to the width of a quantile."""
    model, config = load_model(run.best)
    reference = reference_scores(model, model_facts(run.best), few, "dynamic")
    facts = {"scores": {"dynamic": reference.to_dict()}}
    save_model(tmp_path / "model", model, config, "card", facts)

    def data():
        raise AssertionError("read the data")

    carried = score_folder(str(tmp_path / "model"), few.test, None, data)
    measured = score_folder(str(tmp_path / "model"), few.test, None, lambda: few, carried=False)
    static = score_folder(str(tmp_path / "model"), few.test, "static", data)  # draws each pixel once, as dynamic does
    assert static.reference.binarization == "static"
    np.testing.assert_array_equal(static.percentile, carried.percentile)
    assert carried.reference.digits == measured.reference.digits
    np.testing.assert_array_equal(carried.log_prob, measured.log_prob)
    np.testing.assert_allclose(carried.percentile, measured.percentile, atol=100 / 60 + 0.1)
    facts["scores"]["dynamic"].pop("quantiles")
    save_model(tmp_path / "model", model, config, "card", facts)
    with pytest.raises(RunError, match="damaged"):
        score_folder(str(tmp_path / "model"), few.test, None, data)


def test_digits_seen_in_training_are_marked(run, few, tmp_path):
    """Trained on all, the validation digits are seen, and percentiles are among the test digits."""
    path = tmp_path / "all"
    config = load_recipe("exact").with_settings([*SETTINGS, "train_on=all"])
    everything = train_run(config, few, path).run
    assert everything.manifest()["data"]["training"] == len(few.train) + len(few.validation)
    assert "among those trained on" in everything.manifest()["data"]["notes"][-1]
    content = evaluate_folder(str(path), few, ["clusters"], None, False, tmp_path / "e.json")
    seen = {name: section["seen_in_training"] for name, section in content["sections"].items()}
    assert seen == {"clusters, validation": True, "clusters, test": False, "map": False}
    assert "50 test digits" in score_folder(str(path), few.test, None, lambda: few).reference.digits
    with pytest.raises(RunError, match="all of these digits"):
        score_folder(str(path), few.test, None, lambda: replace(few, test=None))
    assert not seen_in_training(model_facts(run.best), few, "validation")
    facts = json.loads((run.best / "config.json").read_text())
    facts["data"]["name"] = "mnist"  # all of mnist-5k are training digits of MNIST
    assert seen_in_training(facts, few, "test")
    assert not seen_in_training(facts, few, "decoded")


def test_a_model_that_is_told_the_digit_is_measured_with_its_labels(few, tmp_path):
    """Densities are those given the label, samples carry the labels they were asked for, and there is no map."""
    settings = ["data.name=mnist-5k", "classes=10", "encoder=[32]", "decoder=[32]", "prior=flow", "flow_width=8"]
    run = train_run(load_recipe("map").with_settings([*settings, "epochs=2"]), few, tmp_path / "told").run
    out = tmp_path / "e.json"
    sections = evaluate_folder(str(run.path), few, ["density", "samples"], "dynamic", False, out, k=60)["sections"]
    names = [m["name"] for m in sections["density"]["measures"]]
    assert "iw_bound(60)" in names
    assert "log_prob_quadrature" not in names
    assert "samples" in sections
    assert "map" not in sections
    assert sampled(load_model(run.best)[0], 25).labels.tolist() == [i % 10 for i in range(25)]
    counts = np.bincount(sampled(load_model(run.best)[0], 1000).labels)
    assert counts.tolist() == [100] * 10
    with pytest.raises(InputError, match="not told the digit"):
        score_folder(str(run.path), few.test, None, lambda: few)
    unlabelled = replace(few, test=replace(few.test, labels=None))
    with pytest.raises(InputError, match="no labels"):
        evaluate_folder(str(run.path), unlabelled, ["density"], "dynamic", False, out)
