"""What the original report says of VAEs and GANs, sentence by sentence, held against what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from digitvae.comparison.editing import THICKER
from digitvae.comparison.summary import QUALITY, mean_of

COVERED = 0.8
"""Coverage, as a share of that of real digits, above which images are called varied."""

GOOD = 0.95
"""Share of digits read as the digit that was asked for, above which images are called good."""

Models = Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Claim:
    """One sentence and its verdict.

    Attributes:
        claim: What the original says.
        measured: What was measured, with the numbers.
        verdict: ``holds``, ``does not hold``, ``holds in part``, ``no difference shown``, ``by construction``, or ``not
            measured``.
    """

    claim: str
    measured: str
    verdict: str


def claims(models: Models) -> list[dict[str, str]]:
    """All claims, held against the models of a comparison, as `digitvae.comparison.summary.contests` gives them."""
    made = [
        _time(models),
        _stability(models),
        _good_images(models),
        _density(models),
        _features(models),
        _control(models),
        _supervision(),
        _parts(models),
        _new(models),
    ]
    return [asdict(claim) for claim in made]


def _of(models: Models, kind: str) -> list[dict[str, Any]]:
    return [model for model in models.values() if model["kind"] == kind]


def _best(models: Sequence[dict[str, Any]], name: str, lowest: bool = False) -> dict[str, Any] | None:
    """The model with the best mean of a measure; None where nobody has it."""
    having = [model for model in models if not math.isnan(mean_of(model, name))]
    if not having:
        return None
    return (min if lowest else max)(having, key=lambda model: mean_of(model, name))


def _absent(claim: str) -> Claim:
    return Claim(claim, "Those who take part and did not fail are not the ones that it is about.", "not measured")


def _time(models: Models) -> Claim:
    claim = "GANs typically require more training time than VAEs."
    racing = {kind: [model for model in _of(models, kind) if model["seconds_to_quality"]] for kind in ("vae", "gan")}
    if not all(racing.values()):
        return _absent(claim)
    fastest = {kind: min(having, key=lambda model: statistics.median(_times(model))) for kind, having in racing.items()}
    vae, gan = _times(fastest["vae"]), _times(fastest["gan"])
    measured = (
        f"Seconds to an FID-digit of {QUALITY:g}, median over the seeds: the fastest VAE "
        f"{_seconds(statistics.median(vae))}, the fastest GAN {_seconds(statistics.median(gan))}."
    )
    if math.isinf(min(vae)) and math.isinf(min(gan)):
        return Claim(claim, measured, "not measured")
    if min(len(vae), len(gan)) < 2:
        return Claim(claim, f"{measured} One seed tells nothing of the spread.", "not measured")
    vae_first = max(vae) < min(gan)
    if vae_first or max(gan) < min(vae):
        return Claim(claim, measured, _verdict(vae_first))
    return Claim(claim, f"{measured} The seeds overlap.", "no difference shown")


def _stability(models: Models) -> Claim:
    claim = "GANs are often more stable."
    lines, worst = [], {}
    for kind, word in (("vae", "VAEs"), ("gan", "GANs")):
        having = _of(models, kind)
        if not having:
            return _absent(claim)
        runs = sum(model["runs"] for model in having)
        bad = sum(len(model["failed"]) + len(model["collapsed"]) for model in having)
        # Of its own mean: a poor model's FID-digit spreads by more than a good one's is.
        known = [
            found["spread"] / found["mean"]
            for m in having
            if (found := m["measures"].get("FID-digit")) and found["spread"]
        ]
        spread = max(known) if known else math.nan
        worst[kind] = (bad / runs, spread)
        told = "" if math.isnan(spread) else f", FID-digit spreads by up to {spread:.0%} of its mean over the seeds"
        lines.append(f"{word}: {bad} of {runs} runs diverged or lost a class{told}")
    measured = ". ".join(lines) + "."
    if worst["gan"][0] == worst["vae"][0] and any(math.isnan(spread) for _, spread in worst.values()):
        return Claim(claim, f"{measured} One seed tells nothing of the spread.", "not measured")
    return Claim(claim, measured, _verdict(worst["gan"] < worst["vae"]))


def _good_images(models: Models) -> Claim:
    claim = "Where classes are few, as in MNIST, both can produce good images."
    # Legibility alone is no proof: class means are read best of all. The same model must also be varied.
    best = {kind: _best([m for m in _of(models, kind) if _legible(m)], "coverage") for kind in ("vae", "gan")}
    vae, gan, real = best["vae"], best["gan"], _best(_of(models, "floor"), "coverage")
    if real is None or not all(any(not math.isnan(mean_of(m, "coverage")) for m in _of(models, k)) for k in best):
        return _absent(claim)
    lines = []
    for word, model in (("VAE", vae), ("GAN", gan)):
        if model is None:
            lines.append(f"{word}: none is read as asked for in {GOOD:.0%}")
            continue
        read, covered = mean_of(model, "read as asked for"), mean_of(model, "coverage")
        lines.append(f"{word}: read as asked for {read:.2%}, coverage {covered:.1%}")
    measured = f"{'. '.join(lines)}. Real digits: coverage {mean_of(real, 'coverage'):.1%}."
    good = [m is not None and mean_of(m, "coverage") >= COVERED * mean_of(real, "coverage") for m in (vae, gan)]
    return Claim(claim, measured, _verdict(all(good)))


def _legible(model: dict[str, Any]) -> bool:
    return mean_of(model, "read as asked for") >= GOOD


def _density(models: Models) -> Claim:
    claim = "VAEs allow the modelling of probability densities, unlike GANs."
    having = [m for m in _of(models, "vae") if not math.isnan(mean_of(m, "log p(x)"))]
    if not having:
        return _absent(claim)
    told = "; ".join(f"{model['title']} {mean_of(model, 'log p(x)'):.1f} ({_estimator(model)})" for model in having)
    return Claim(claim, f"Mean log p(x) in nats: {told}. GANs draw, but give no p(x): undefined.", "holds")


def _estimator(model: dict[str, Any]) -> str:
    settings = model["measures"]["log p(x)"].get("settings", {})
    given = f", given {settings['given']}" if settings.get("given") else ""
    return f"{settings.get('estimator', 'unknown')}{given}"


def _features(models: Models) -> Claim:
    claim = "VAEs excel when features are to be added to images."
    name = "made thicker, read as before"
    # Only who made them as much thicker as was asked for: who changes nothing reads best.
    best = {kind: _best([m for m in _of(models, kind) if _thickens(m)], name) for kind in ("vae", "gan")}
    vae, gan = best["vae"], best["gan"]
    if vae is None or gan is None:
        return _absent(claim)
    lines = [
        f"{word}: {mean_of(model, name):.1%} of real digits made thicker are still read as before, by "
        f"{mean_of(model, 'made thicker: gain in thickness'):.2f} pixels"
        for word, model in (("VAE", vae), ("GAN", gan))
    ]
    one, other = mean_of(vae, name), mean_of(gan, name)
    digits = vae["measures"][name].get("n", 1)
    error = 1.96 * math.sqrt((one * (1 - one) + other * (1 - other)) / digits)
    if abs(one - other) <= error:
        return Claim(claim, ". ".join(lines) + ".", "no difference shown")
    return Claim(claim, ". ".join(lines) + ".", _verdict(one > other))


def _thickens(model: dict[str, Any]) -> bool:
    return mean_of(model, "made thicker: gain in thickness") >= 0.9 * THICKER


def _control(models: Models) -> Claim:
    claim = "Sometimes VAEs win on control and usability."
    error, time = "real digits drawn again: squared error", "seconds to find their codes"
    best = {kind: _best(_of(models, kind), error, lowest=True) for kind in ("vae", "gan")}
    vae, gan = best["vae"], best["gan"]
    if vae is None or gan is None:
        return _absent(claim)
    again = "drawn again, read as before"
    lines = [
        f"{word}: {mean_of(model, time):.2g} s for all of them, squared error {mean_of(model, error):.1f}, "
        f"{mean_of(model, again):.1%} read as before"
        for word, model in (("VAE", vae), ("GAN, by search", gan))
    ]
    measured = f"To work on a real digit its code is needed. {'. '.join(lines)}."
    faster, nearer = (mean_of(vae, name) < mean_of(gan, name) for name in (time, error))
    if faster != nearer:
        return Claim(claim, f"{measured} The VAE is {'faster' if faster else 'nearer'} alone.", "holds in part")
    return Claim(claim, measured, _verdict(faster))


def _supervision() -> Claim:
    return Claim(
        "VAEs involve a semi-supervised learning process.",
        "No: the loss of recipe map sees no label (unsupervised); studio and the GANs here are told every label. "
        "Semi-supervised means few labels among many images: VAEs can be trained so (Kingma et al., 2014), and need "
        "not be.",
        "does not hold",
    )


def _parts(models: Models) -> Claim:
    return Claim(
        "The encoder gives means and standard deviations; codes are drawn from them and decoded.",
        "That is how the VAEs here are built (digitvae.models.vae).",
        "by construction" if _of(models, "vae") else "not measured",
    )


def _new(models: Models) -> Claim:
    claim = "Generated digits differ from the originals, yet belong to the same category."
    vae = _best(_of(models, "vae"), "read as asked for")
    if vae is None:
        return _absent(claim)
    again, audit = mean_of(vae, "drawn again, read as before"), vae["copy_audit"]
    measured = (
        f"{vae['title']}: {again:.1%} of real digits drawn again are read as before; new digits have the class asked "
        f"for in {mean_of(vae, 'read as asked for'):.2%}; {audit['passed']} of {audit['of']} runs pass the copy audit."
    )
    return Claim(claim, measured, _verdict(again >= GOOD and audit["passed"] == audit["of"]))


def _times(model: dict[str, Any]) -> list[float]:
    """Seconds to quality of a model's runs."""
    return [math.inf if time is None else time for time in model["seconds_to_quality"]]


def _seconds(time: float) -> str:
    return "never within the budget" if math.isinf(time) else f"{time:.0f} s"


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"
