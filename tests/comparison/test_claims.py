"""The verdicts on the original's claims, from numbers made up on both sides of each."""

import math

import pytest

from digitvae.comparison.claims import claims
from digitvae.comparison.summary import mean_of


def model(kind, *, times=(), failed=0, collapsed=0, runs=2, spread=1.0, audit=(2, 2), **means):
    measures = {name: {"mean": mean, "spread": None, "n": 1000} for name, mean in means.items()}
    measures["FID-digit"] = {"mean": 5.0, "spread": spread}
    return {
        "title": kind.upper(),
        "kind": kind,
        "runs": runs,
        "failed": ["x"] * failed,
        "collapsed": [[1]] * collapsed,
        "seconds_to_quality": list(times),
        "copy_audit": {"passed": audit[0], "of": audit[1]},
        "measures": measures,
    }


def verdict(number, vae, gan):
    real = model("floor", coverage=0.95)
    return claims({"a": model("vae", **vae), "b": model("gan", **gan), "real": real})[number]


@pytest.mark.parametrize(
    ("vae", "gan", "expected"),
    [
        ((10.0, 20.0), (30.0, 40.0), "holds"),
        ((30.0, 40.0), (10.0, 20.0), "does not hold"),
        ((10.0, 20.0), (None, None), "holds"),
        ((10.0, 40.0), (30.0, 50.0), "no difference shown"),
        ((10.0,), (30.0,), "not measured"),
        ((None,), (None,), "not measured"),
        ((), (5.0,), "not measured"),
    ],
)
def test_time(vae, gan, expected):
    found = verdict(0, {"times": vae}, {"times": gan})
    assert found["verdict"] == expected
    if gan == (None, None):
        assert "the fastest GAN never within the budget" in found["measured"]


@pytest.mark.parametrize(
    ("vae", "gan", "expected"),
    [
        ({}, {"failed": 1}, "does not hold"),
        ({"collapsed": 1}, {}, "holds"),
        ({"spread": 3.0}, {"spread": 1.0}, "holds"),
        ({"spread": 1.0}, {"spread": 3.0}, "does not hold"),
        ({"spread": None}, {"spread": None}, "not measured"),
        ({"spread": None}, {"spread": None, "failed": 1}, "does not hold"),
    ],
)
def test_stability(vae, gan, expected):
    assert verdict(1, vae, gan)["verdict"] == expected


def test_good_images_need_both_kinds_legible_and_varied():
    name = "read as asked for"
    good = {name: 0.99, "coverage": 0.9}
    assert verdict(2, good, {name: 0.98, "coverage": 0.8})["verdict"] == "holds"
    assert verdict(2, good, {name: 0.90, "coverage": 0.9})["verdict"] == "does not hold"
    assert verdict(2, good, {name: 1.0, "coverage": 0.1})["verdict"] == "does not hold"  # as class means
    assert verdict(2, good, {})["verdict"] == "not measured"


def test_a_poor_model_does_not_decide_who_is_stable():
    """Its distances are large, and so is their spread."""
    poor = {**model("vae", spread=6.0), "measures": {"FID-digit": {"mean": 300.0, "spread": 6.0}}}
    found = claims({"a": model("vae", spread=0.2), "poor": poor, "b": model("gan", spread=1.0)})[1]
    assert found["verdict"] == "does not hold"
    assert "up to 4% of its mean" in found["measured"]


def test_density_features_and_control():
    assert verdict(3, {"log p(x)": -80.0}, {})["verdict"] == "holds"
    assert "-80.0" in verdict(3, {"log p(x)": -80.0}, {})["measured"]
    thick, gain = "made thicker, read as before", "made thicker: gain in thickness"
    assert verdict(4, {thick: 0.9, gain: 0.9}, {thick: 0.8, gain: 0.9})["verdict"] == "holds"
    assert verdict(4, {thick: 0.7, gain: 0.9}, {thick: 0.8, gain: 0.9})["verdict"] == "does not hold"
    assert verdict(4, {thick: 0.81, gain: 0.9}, {thick: 0.8, gain: 0.9})["verdict"] == "no difference shown"
    assert verdict(4, {thick: 1.0, gain: 0.1}, {thick: 0.8, gain: 0.9})["verdict"] == "not measured"  # changes nothing
    error, time = "real digits drawn again: squared error", "seconds to find their codes"
    assert verdict(5, {error: 3.0, time: 0.1}, {error: 9.0, time: 8.0})["verdict"] == "holds"
    assert verdict(5, {error: 9.0, time: 0.1}, {error: 3.0, time: 8.0})["verdict"] == "holds in part"
    assert verdict(5, {error: 9.0, time: 9.0}, {error: 3.0, time: 8.0})["verdict"] == "does not hold"


def test_what_is_new_must_be_no_copy():
    kept = {"read as asked for": 0.99, "drawn again, read as before": 0.99}
    assert verdict(8, kept, {})["verdict"] == "holds"
    assert verdict(8, {**kept, "audit": (1, 2)}, {})["verdict"] == "does not hold"


def test_all_nine_are_there_whoever_took_part():
    assert len(claims({})) == 9
    assert claims({})[6]["verdict"] == "does not hold"
    assert math.isnan(mean_of(model("vae"), "nothing"))
