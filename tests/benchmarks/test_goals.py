"""When `studio` counts as ahead of the GAN, or level with it, on cases made by hand."""

import pytest
from benchmarks.comparison import GOALS, goals


def entry(model, seed, fid, share, failed=None):
    measures = [{"name": name, "value": fid if name == "FID-digit" else share} for name in GOALS]
    return {"model": model, "seed": seed, "failed": failed, "measures": measures}


@pytest.mark.parametrize(
    ("fids", "ahead", "reached"),
    [((1.5, 1.7), "1 of 2 seeds", "yes"), ((1.9, 2.1), "0 of 2 seeds", "no"), ((1.0, 1.1), "2 of 2 seeds", "yes")],
)
def test_level_is_within_the_spread_over_seeds(fids, ahead, reached):
    entries = [entry("studio", seed, fid, 0.9) for seed, fid in enumerate(fids)]
    entries += [entry("gan", seed, fid, 0.8) for seed, fid in enumerate((1.45, 1.75))]
    entries.append(entry("gan", 2, 0.0, 1.0, failed="diverged"))
    rows = {row[0]: row[1:] for row in goals(entries)}
    assert rows["FID-digit"][2:] == [ahead, "level", reached]
    assert rows["recall"] == ["90.00%", "80.00%", "2 of 2 seeds", "ahead", "yes"]


def test_ahead_is_ahead_with_every_seed():
    entries = [entry("studio", 0, 1, 0.9), entry("studio", 1, 1, 0.7)]
    entries += [entry("gan", 0, 1, 0.8), entry("gan", 1, 1, 0.75)]
    rows = {row[0]: row[1:] for row in goals(entries)}
    assert rows["coverage"] == ["80.00%", "77.50%", "1 of 2 seeds", "ahead", "no"]
