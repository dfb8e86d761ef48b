"""`digitvae compare` as a user meets it."""

import functools
import json
import re

import numpy as np
from typer.testing import CliRunner

import digitvae.comparison
from digitvae.cli import app
from digitvae.comparison import Settings


def test_a_page_and_a_file_are_written_and_it_goes_on(splits_5k, monkeypatch, tmp_path):
    few = splits_5k.train.subset(slice(700))
    np.savez(tmp_path / "few.npz", images=few.images, labels=few.labels)
    monkeypatch.setattr(digitvae.comparison, "Settings", functools.partial(Settings, drawn=600, curve=300))
    out = tmp_path / "mine"
    arguments = ["compare", "--models", "means", "--data", str(tmp_path / "few.npz"), "-o", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--seeds", "1"])
    assert done.exit_code == 0, done.output
    content = json.loads((out / "comparison.json").read_text())
    (contest,) = content["contests"]
    assert list(contest["models"]) == ["means", "pca", "real"]
    assert content["settings"]["seeds"] == 1
    assert "<h1>VAE against GAN" in (out / "comparison.html").read_text()
    written = {path: path.stat().st_mtime_ns for path in out.glob("entries/*")}
    assert len(written) == 6
    more = CliRunner().invoke(app, [*arguments, "--seeds", "2"])
    assert more.exit_code == 0, more.output
    assert {path: path.stat().st_mtime_ns for path in written} == written
    (contest,) = json.loads((out / "comparison.json").read_text())["contests"]
    assert contest["models"]["means"]["runs"] == 2
    # As if the second seed had run on a slower machine, which the claims must be read for by themselves.
    for path in out.glob("entries/*-1.json"):
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({**entry, "machine": {**entry["machine"], "instructions": "slow"}}))
    assert "On " not in more.output
    apart = CliRunner().invoke(app, [*arguments, "--seeds", "2"])
    assert apart.exit_code == 0, apart.output
    assert re.findall(r"^On .*\((\w+)\), \d+ threads:$", apart.output, re.MULTILINE)[1:] == ["slow"]
    assert [c["seeds"] for c in json.loads((out / "comparison.json").read_text())["contests"]] == [[0], [1]]
