"""The command that holds VAEs against GANs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from digitvae.cli.app import DataDirOption, DataOption, NoFallbackOption, app, load_data, screen


@app.command()
def compare(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the comparison; continued where it is one.")],
    models: Annotated[
        str, typer.Option(help="Who takes part, comma-separated: studio, map, gan, gan-classic, means.")
    ] = "studio,map,gan,gan-classic,means",
    budget: Annotated[
        float | None, typer.Option(help="Seconds of training for each model and seed; 300 where left out.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How often each is trained; 5 where left out.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed and 60 seconds each, where these are left out.")
    ] = False,
    data: DataOption = None,
    data_dir: DataDirOption = None,
    no_fallback: NoFallbackOption = False,
) -> None:
    """VAE against GAN on equal terms: the same digits, seconds and parameters that draw; comparison.html and .json.

    Each model is trained with each seed and measured; what is measured is kept at once. After Ctrl-C the same command
    goes on, with the training that was under way begun anew. More seeds and models may be asked for later.

    **Examples**

    - `digitvae compare --quick -o comparison` - one seed, a minute for each model
    - `digitvae compare --models studio,gan --seeds 2 -o duel` - two models, five minutes each, twice
    """
    from digitvae.comparison import Settings, comparison_content, write_page
    from digitvae.comparison import compare as compared
    from digitvae.data.files import write_aside
    from digitvae.terminal import counting

    settings = Settings(
        tuple(name.strip() for name in models.split(",")),
        budget if budget is not None else 60.0 if quick else 300.0,
        seeds if seeds is not None else 1 if quick else 5,
    )
    splits = load_data(data or "mnist", data_dir, not no_fallback)
    with counting(screen) as notify:
        entries = compared(out, splits, settings, notify)
    content = comparison_content(entries, settings, splits)
    written = (json.dumps(content, indent=2) + "\n").encode()
    write_aside(out / "comparison.json", lambda file: file.write(written), overwrite=True)
    page = write_page(out, content)
    for contest in content["contests"]:
        if len(content["contests"]) > 1:
            screen.print(f"On {contest['machine']}:", soft_wrap=True, markup=False)
        for claim in contest["claims"]:
            told = f"{claim['claim']} {claim['verdict'].upper()}. {claim['measured']}"
            screen.print(told, soft_wrap=True, markup=False)
    screen.print(f"Written: {page} and comparison.json beside it.", soft_wrap=True)
