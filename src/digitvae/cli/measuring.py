"""Commands that measure a model, and digits by a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitvae.cli.app import DataDirOption, DataOption, NoFallbackOption, app, load_data, screen, together
from digitvae.errors import RunError

if TYPE_CHECKING:
    from digitvae.data import Splits

BinarizationOption = Annotated[
    str | None, typer.Option(help="What to do to grey pixels: none, dynamic or static; the recipe's where left out.")
]


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or shipped model.")],
    metrics: Annotated[str, typer.Option(help="What to measure, comma-separated.")] = "density,clusters,samples",
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    binarization: BinarizationOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="5 binarisations, 4 shifts, k = 500, and classifiers: takes far longer."),
    ] = False,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, max=5000, help="Codes for each image in iw_bound; 50, or 500 with --full."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; RUN/evaluation.json, or MODEL-evaluation.json here.")
    ] = None,
) -> None:
    """Measure a model on digits that it has not seen: densities, clusters and samples, as a table and evaluation.json.

    The file is written after each section, so Ctrl-C loses the current one alone; what it holds of the same model and
    digits, and is not measured anew, is kept.

    **Examples**

    - `digitvae evaluate exact` - a model that comes with the package, in the quick form
    - `digitvae evaluate runs/map --metrics density --full` - five binarisations, four shifts, 500 codes for each
      image
    """
    from digitvae.evaluation.files import data_of, evaluate_folder, evaluation_file
    from digitvae.rundir import find_model
    from digitvae.terminal import measures_table

    find_model(model)  # before digits are looked for
    names = [name.strip() for name in metrics.split(",")]
    with together() as team:
        splits = load_data(data or data_of(model), data_dir, not no_fallback)
        path = evaluation_file(model, out, splits)
        with screen.status("Evaluating") as status:
            content = evaluate_folder(model, splits, names, binarization, full, path, status.update, team, k)
        if team.leads:
            screen.print(measures_table(content))
            screen.print(f"Written: {path}", soft_wrap=True, markup=False)


@app.command()
def score(
    images: Annotated[Path, typer.Argument(help="A picture, a folder of them, .npz, IDX or Parquet.")],
    model: Annotated[str, typer.Option(help="Run directory, model folder or shipped model.")] = "exact",
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
    binarization: BinarizationOption = None,
    out: Annotated[Path | None, typer.Option(help="A CSV file for all scores.")] = None,
) -> None:
    """How probable digits are: log p(x) of each image, and its percentile among real digits.

    The shipped models carry the scores of real digits and need no data; with --data others are taken.

    **Examples**

    - `digitvae score seven.png` - one picture, by the model `exact`
    - `digitvae score digits/ --model runs/map --out scores.csv` - a folder, by your own model
    """
    from digitvae.data import load_digits
    from digitvae.data.own import names_of
    from digitvae.evaluation.files import data_of, score_folder, write_scores
    from digitvae.terminal import scores_table

    if out is not None and out.exists():
        raise RunError(f"{out} exists; name another file with --out.")
    digits, _ = load_digits(images, screen.print)
    names = names_of(images, len(digits))

    def real() -> Splits:
        return load_data(data or data_of(model), data_dir, not no_fallback)

    with screen.status("Scoring"):
        scores = score_folder(model, digits, binarization, real, carried=data is None)
    screen.print(scores_table(scores, names))
    if out is not None:
        write_scores(out, scores, names)
        screen.print(f"Written: {out}", soft_wrap=True, markup=False)
