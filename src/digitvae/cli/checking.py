"""The command that looks at the installation itself."""

from __future__ import annotations

import typer

from digitvae.cli.app import DataDirOption, app, screen


@app.command()
def doctor(data_dir: DataDirOption = None) -> None:
    """Check this installation: devices, threads, data, shipped weights and the mathematics; say what to do.

    Nothing is downloaded or changed. The exit code is 1 where something is broken.

    **Example**

    - `digitvae doctor`
    """
    from rich.markup import escape

    from digitvae.doctor import diagnose

    colors = {"good": "green", "note": "yellow", "broken": "red"}
    broken = 0
    with screen.status("Checking") as status:
        for finding in diagnose(data_dir, lambda name: status.update(f"Checking: {name}")):
            word = f"[{colors[finding.state]}]{finding.state:<6}[/]"
            screen.print(f"{word}  {finding.name}: {escape(finding.found)}", soft_wrap=True)
            if finding.advice and finding.state != "good":
                screen.print(f"        {escape(finding.advice)}", soft_wrap=True)
            broken += finding.state == "broken"
    if broken:
        screen.print(f"{broken} of these are broken.")
        raise typer.Exit(1)
    screen.print("This installation is sound.")
