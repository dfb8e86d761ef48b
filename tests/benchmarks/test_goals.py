"""When `studio` counts as ahead of the GAN, or level with it, on cases made by hand."""

import pytest
from benchmarks.comparison import GOALS, goals


def entry(model, seed, fid, share, failed=None, processor="AMD"):
    measures = [{"name": name, "value": fid if name == "FID-digit" else share} for name in GOALS]
    machine = {"processor": processor, "instructions": "AVX2", "threads": 2}
    return {"model": model, "seed": seed, "failed": failed, "measures": measures, "machine": machine}


@pytest.mark.parametrize(
    ("fids", "ahead", "reached"),
    [((1.5, 1.7), "1 of 2 seeds", "yes"), ((1.9, 2.1), "0 of 2 seeds", "no"), ((1.0, 1.1), "2 of 2 seeds", "yes")],
)
def test_level_is_within_the_spread_over_seeds(fids, ahead, reached):
    entries = [entry("studio", seed, fid, 0.9) for seed, fid in enumerate(fids)]
    entries += [entry("gan", seed, fid, 0.8) for seed, fid in enumerate((1.45, 1.75))]
    entries.append(entry("gan", 2, 0.0, 1.0, failed="diverged"))
    rows = {row[0]: row[1:] for row in goals(entries)}
    assert rows["FID-digit"][3:] == [ahead, "level", reached]
    assert rows["recall"][1:] == ["90.00%", "80.00%", "2 of 2 seeds", "ahead", "yes"]


def test_ahead_is_ahead_with_every_seed():
    entries = [entry("studio", 0, 1, 0.9), entry("studio", 1, 1, 0.7)]
    entries += [entry("gan", 0, 1, 0.8), entry("gan", 1, 1, 0.75)]
    rows = {row[0]: row[1:] for row in goals(entries)}
    assert rows["coverage"][1:] == ["80.00%", "77.50%", "1 of 2 seeds", "ahead", "no"]


def test_a_slower_machine_is_a_contest_of_its_own():
    """What its models have learned less is no spread over seeds that would make them level."""
    entries = [entry("studio", 0, 2.0, 0.9), entry("studio", 1, 9.0, 0.9, processor="old")]
    entries += [entry("gan", 0, 1.0, 0.8), entry("gan", 1, 8.0, 0.8, processor="old")]
    rows = [row for row in goals(entries) if row[0] == "FID-digit"]
    assert [row[1:] for row in rows] == [
        ["AMD (AVX2), 2 threads", "2.00", "1.00", "0 of 1 seeds", "level", "no"],
        ["old (AVX2), 2 threads", "9.00", "8.00", "0 of 1 seeds", "level", "no"],
    ]
