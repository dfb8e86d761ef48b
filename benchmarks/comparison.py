"""VAE against GAN on equal terms, on all of MNIST: `digitvae compare` with five seeds of 300 seconds.

It takes hours, so what is measured is kept in ``benchmarks/results/comparison`` and a stopped benchmark goes on. Writes
the table and the figure of ``docs/vae-and-gan.md``.

Usage: python -m benchmarks.comparison [SEEDS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.common import RESULTS, finish, full_mnist
from digitvae.comparison import Settings, compare, comparison_content, write_page
from digitvae.comparison.page import CURVES, OF_EDITS, OF_SAMPLES, cell, curves_of
from digitvae.figures import draw_race, to_png

FOLDER = RESULTS / "comparison"
FIGURE = Path(__file__).parent.parent / "docs" / "images" / "vae_and_gan.png"


def main(seeds: int) -> None:
    splits, settings = full_mnist(), Settings(seeds=seeds)
    content = comparison_content(compare(FOLDER, splits, settings, told), settings, splits)
    print(write_page(FOLDER, content))
    models = content["models"]
    titles = [model["title"] for model in models.values()]
    rows = [
        [name, *(cell(model, name) for model in models.values())]
        for name in OF_SAMPLES + OF_EDITS
        if any(name in model["measures"] for model in models.values())
    ]
    for name, key in (("diverged", "failed"), ("lost a class", "collapsed")):
        rows.append([f"runs that {name}", *(f"{len(model[key])} of {model['runs']}" for model in models.values())])
    command = f"python -m benchmarks.comparison {seeds}"
    finish("comparison", command, {"settings": content["settings"]}, ["", *titles], rows)
    claims = [[claim["claim"], claim["measured"], claim["verdict"]] for claim in content["claims"]]
    finish("claims", command, {}, ["the report says", "measured", "verdict"], claims)
    label, logarithmic = CURVES["FID-digit"]
    FIGURE.write_bytes(to_png(draw_race(curves_of(models, "FID-digit"), label, logarithmic)))


def told(done: int, of: int, text: str) -> None:
    print(f"{done} of {of}: {text}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
