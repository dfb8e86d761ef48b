"""The contest: what is planted is found, what fails is counted, and it can be stopped and continued."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.comparison.conftest import TINY, makers

from digitvae.comparison import Settings, compare, comparison_content, write_page
from digitvae.comparison.claims import claims
from digitvae.comparison.contenders import CONTENDERS, VAEContender
from digitvae.comparison.contest import LOOKS, entry_file, spread_out
from digitvae.comparison.summary import contests, seconds_to
from digitvae.config import load_recipe
from digitvae.data import Splits
from digitvae.errors import InputError, RunError


def models_of(content):
    """The models of a comparison that ran on one machine."""
    (only,) = content["contests"]
    return only["models"]


def value(content, model, name):
    return models_of(content)[model]["measures"][name]["mean"]


def test_copies_are_caught(compared):
    _, content = compared
    assert value(content, "copier", "nearest is trained on (pixels)") == 1
    assert value(content, "copier", "near-duplicates (pixels)") == 1
    audit = models_of(content)["copier"]["copy_audit"]
    assert (audit["passed"], audit["of"]) == (0, 2)
    assert value(content, "real", "near-duplicates (pixels)") < 0.02


def test_a_missing_class_is_counted_and_costs_coverage(compared, small):
    _, content = compared
    model = models_of(content)["without"]
    assert model["collapsed"] == [[3, 8], [3, 8]]
    missing = np.isin(small.validation.labels, (3, 8)).mean()
    lost = value(content, "real", "coverage") - value(content, "without", "coverage")
    assert lost == pytest.approx(missing, abs=0.05)
    assert models_of(content)["copier"]["collapsed"] == []


def test_a_run_that_diverges_is_counted_not_dropped(compared):
    _, content = compared
    model = models_of(content)["diverges"]
    assert model["runs"] == 2
    assert model["failed"] == ["The loss of the critic is nan at step 2."] * 2
    assert model["measures"] == {}
    assert model["seconds_to_quality"] == [None, None]
    beside = claims({**models_of(content), "vae": {**models_of(content)["copier"], "kind": "vae"}})
    assert "GANs: 2 of 2 runs diverged" in beside[1]["measured"]
    assert beside[1]["verdict"] == "does not hold"


def test_real_digits_are_the_floor_of_distances_and_the_ceiling_of_cover(contest):
    _, content = contest
    models = models_of(content)
    for name, better in (("FID-digit", min), ("KID-digit", min), ("recall", max), ("coverage", max)):
        values = {key: model["measures"][name]["mean"] for key, model in models.items()}
        assert better(values, key=values.get) == "real", name


def test_everyone_is_measured_and_trained_for_its_seconds(contest):
    _, content = contest
    for name in ("studio", "map", "gan", "gan-classic"):
        model = models_of(content)[name]
        assert 0 < model["seconds"]["mean"] < 3
        assert len(model["curve"]) == len(LOOKS)
        assert value(content, name, "real digits drawn again: squared error") > 0
        assert ("log p(x)" in model["measures"]) == (model["kind"] == "vae")
    assert value(content, "studio", "log p(x)") < 0
    assert "read as asked for" not in models_of(content)["map"]["measures"]
    parameters = [models_of(content)[name]["parameters"] for name in ("studio", "map", "gan", "gan-classic")]
    assert max(parameters) <= 1.1 * min(parameters)


def test_what_is_done_is_kept_and_more_seeds_may_be_asked_for(small, tmp_path):
    made = []
    told = makers(small)

    def counted(name):
        return lambda splits, budget, seed: made.append((name, seed)) or told[name](splits, budget, seed)

    settings = Settings(("copier",), budget=1.0, seeds=1, drawn=400, curve=300)
    everyone = {name: counted(name) for name in told}
    first = compare(tmp_path / "c", small, settings, makers=everyone)
    assert made == [("copier", 0), ("pca", 0), ("real", 0)]
    entry_file(tmp_path / "c", "pca", 0).unlink()  # as if it had been stopped there
    again = compare(tmp_path / "c", small, replace(settings, seeds=2), makers=everyone)
    assert made[3:] == [("pca", 0), ("copier", 1), ("pca", 1), ("real", 1)]
    assert again[0] == first[0]
    assert len(again) == 6


def test_another_comparison_is_not_mixed_in(compared, small, tmp_path):
    folder, _ = compared
    with pytest.raises(RunError, match=r"another comparison \(budget 1.0, not 2.0\)"):
        compare(folder, small, replace(TINY, budget=2.0), makers=makers(small))
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(RunError, match="something else"):
        compare(tmp_path, small, TINY, makers=makers(small))
    assert (tmp_path / "note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": ("nobody",)}, "'nobody' takes no part"),
        ({"budget": 0.0}, "above 0"),
        ({"budget": float("nan")}, "above 0"),
        ({"seeds": 0}, "1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(small, tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        compare(tmp_path / "c", small, replace(TINY, **change), makers=makers(small))
    assert not (tmp_path / "c").exists()


def test_digits_are_taken_evenly_from_all(small):
    few = spread_out(small.train, 300)
    np.testing.assert_array_equal(few.images, small.train.images[::5])
    assert len(spread_out(small.train, 10**6)) == len(small.train)


def test_lost_pictures_do_not_cost_a_training_and_the_page_does_without(small, tmp_path):
    settings = Settings(("copier",), budget=1.0, seeds=1, drawn=400, curve=300)
    entries = compare(tmp_path / "c", small, settings, makers=makers(small))
    path = entry_file(tmp_path / "c", "copier", 0)
    before = path.stat().st_mtime_ns
    path.with_suffix(".npz").unlink()
    again = compare(tmp_path / "c", small, settings, makers=makers(small))
    assert again == entries
    assert path.stat().st_mtime_ns == before
    page = write_page(tmp_path / "c", comparison_content(again, settings, small))
    assert page.exists()


def test_labels_are_needed(small, tmp_path):
    bare = Splits("x", replace(small.train, labels=None), small.validation, None, "0" * 64)
    with pytest.raises(InputError, match="no labels"):
        compare(tmp_path / "c", bare, TINY, makers=makers(small))


def test_the_schedule_fits_the_budget(small):
    contender = VAEContender(load_recipe("map"), small, budget=1.0, seed=3)
    contender.train(10.0)
    assert contender.seconds < 5
    assert contender.epochs == int(contender.epochs) >= 1
    assert contender.epochs < load_recipe("map").training.epochs


def test_means_and_spreads_by_hand():
    def entry(seed, values, failed=None, instructions="AVX512"):
        measures = [
            {"name": k, "value": v, "unit": "", "definition": "", "n": 9, "settings": {}} for k, v in values.items()
        ]
        looks = [
            {"seconds": 10.0 * (i + 1), "FID-digit": f, "coverage": 0.5, "recall": 0.5}
            for i, f in enumerate((40, 30, 10))
        ]
        common = {"model": "m", "title": "M", "kind": "gan", "parameters": 5, "seconds": 30.0, "epochs": 2.0}
        return {
            **common,
            "seed": seed,
            "measures": measures,
            "curve": looks,
            "failed": failed,
            "missing": [3] if seed else [],
            "machine": {"processor": "P", "instructions": instructions, "threads": 2},
        }

    (only,) = contests([entry(0, {"FID-digit": 4.0}), entry(1, {"FID-digit": 8.0}), entry(2, {}, "it broke")])
    assert only["machine"] == "P (AVX512), 2 threads"
    assert only["seeds"] == [0, 1, 2]
    model = only["models"]["m"]
    found = model["measures"]["FID-digit"]
    assert found["mean"] == 6
    assert found["spread"] == pytest.approx(8**0.5)
    assert found["runs"] == 2
    assert model["runs"] == 3
    assert model["failed"] == ["it broke"]
    assert model["collapsed"] == [[3]]
    assert model["seconds_to_quality"] == [25.0, 25.0, None]  # the run that failed reached nothing
    assert model["curve"][2]["FID-digit"] == {"mean": 10, "spread": 0, "runs": 2}
    slow = [entry(seed, {"FID-digit": 20.0}, instructions="AVX2") for seed in (3, 4)]
    quick, slower = contests([entry(0, {"FID-digit": 4.0}), *slow])
    assert quick["models"]["m"]["measures"]["FID-digit"] == {
        **found,
        "values": [4.0],
        "mean": 4,
        "spread": None,
        "runs": 1,
    }
    assert slower["machine"] == "P (AVX2), 2 threads"
    assert slower["seeds"] == [3, 4]
    assert slower["models"]["m"]["measures"]["FID-digit"]["spread"] == 0
    assert seconds_to([{"seconds": 1, "FID-digit": 99.0}]) is None


def test_claims_are_judged_on_each_machine_and_the_audit_against_the_baseline_of_all(compared, small):
    """As if the second run of two models had been made on a machine where the baseline never ran."""
    folder, _ = compared
    entries = [json.loads(path.read_text()) for path in sorted(folder.glob("entries/*.json"))]
    entries = [{**entry, "kind": "vae" if entry["model"] == "copier" else entry["kind"]} for entry in entries]
    moved = [entry for entry in entries if entry["seed"] == 1 and entry["model"] in ("copier", "diverges")]
    for entry in moved:
        entry["machine"] = {**entry["machine"], "instructions": "slow"}
    quick, slow = comparison_content(entries, TINY, small)["contests"]
    assert list(slow["models"]) == ["copier", "diverges"]
    assert (slow["models"]["copier"]["copy_audit"]["passed"], slow["models"]["copier"]["copy_audit"]["of"]) == (0, 1)
    for contest in (quick, slow):
        assert "GANs: 1 of 1 runs diverged" in contest["claims"][1]["measured"]


def test_every_file_is_json_without_numbers_that_json_has_not(compared):
    folder, _ = compared
    for path in folder.glob("entries/*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
    assert set(CONTENDERS) >= {"studio", "map", "gan", "gan-classic", "pca", "means", "real"}
