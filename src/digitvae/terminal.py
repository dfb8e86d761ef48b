"""What a user sees on the terminal: the progress of training, and tables of measures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from digitvae.config import Config
from digitvae.running import Watcher

# What measures is imported where a table needs it: training starts a second sooner without.
if TYPE_CHECKING:
    from digitvae.evaluation.scoring import Scores


class ProgressBar(Watcher):
    """A progress bar on a terminal; elsewhere a line for each snapshot."""

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[terms]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=screen,
            disable=not screen.is_terminal,
        )
        self.task: TaskID | None = None
        self.config = Config()
        self.steps = 1

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self.progress.stop()

    def started(self, config: Config, epoch: int, steps: int) -> None:
        """Put up the bar."""
        self.config, self.steps = config, steps
        self.task = self.progress.add_task("", total=config.training.epochs, completed=epoch, terms="")

    def stepped(self, epoch: int, step: int) -> None:
        """Move the bar within an epoch."""
        if self.task is not None:
            self.progress.update(self.task, completed=epoch + step / self.steps)

    def measured(self, record: dict[str, Any]) -> None:
        """Show the terms of the finished epoch; at a snapshot, leave them standing in a line."""
        train_terms, validation = record["train"], record["validation"]
        terms = f"loss {train_terms['loss']:.1f} = {train_terms['distortion']:.1f} + {train_terms['rate']:.1f}"
        terms += f", validation {validation['loss']:.1f}"
        if self.task is not None:
            self.progress.update(self.task, completed=record["epoch"], terms=terms)
        if record["epoch"] in self.config.training.snapshot_epochs():
            self.screen.print(
                f"epoch {record['epoch']:>4}  train {train_terms['loss']:.2f}  validation {validation['loss']:.2f}"
                f" (distortion {validation['distortion']:.2f} + rate {validation['rate']:.2f})",
            )

    def said(self, text: str) -> None:
        """Print a sentence above the bar."""
        self.screen.print(text)


def measures_table(content: Mapping[str, Any]) -> Table:
    """The measures of an ``evaluation.json`` as a table: value, spread and what was repeated, images."""
    from digitvae.evaluation.suite import how

    table = Table(
        *("measure", "value", "spread", "over", "images", "how"),
        title=escape(f"{content['model']}: {content['data']['caption']}"),
    )
    for column in table.columns[1:5]:
        column.justify = "right"
    for name, section in content["sections"].items():
        table.add_section()
        about = f", binarization {section['binarization']}" if "binarization" in section else ""
        about += ", seen in training" if section.get("seen_in_training") else ""
        table.add_row(f"[bold]{name}[/bold] ({section['digits']} digits{about}, {section['seconds']:.0f} s)")
        for measure in section["measures"]:
            spread = "" if measure["spread"] is None else written(measure["spread"], measure["unit"])
            value = written(measure["value"], measure["unit"])
            table.add_row(measure["name"], value, spread, measure["over"], f"{measure['n']:,}", how(measure))
        if "note" in section:
            table.add_row("not measured", "", "", "", "", escape(section["note"]))
        if verdict := section.get("copy_audit"):
            table.add_row("copy audit", "passed" if verdict["passed"] else f"failed: {'; '.join(verdict['why'])}")
    return table


@contextlib.contextmanager
def counting(screen: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A bar of the parts of some work, while it lasts; its function is told parts done, all parts, and what is next."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        speed_estimate_period=3600,  # a part takes long
        disable=not screen.is_terminal,
    )
    with progress:
        task = progress.add_task("")
        yield lambda done, of, text: progress.update(task, completed=done, total=of, description=text)


def certificate_tables(content: Mapping[str, Any]) -> list[Table]:
    """A ``certificate.json`` as two tables: what readers read, with 95 % intervals, and the copy audit."""
    from digitvae.evaluation.suite import BASELINE

    readers, own, baseline = (
        {m["name"]: m for m in content["sections"][name]["measures"]} for name in ("readers", "samples", BASELINE)
    )
    made = readers["generated alone"]
    table = Table(
        "real labels\na class",
        "real alone, %",
        "with\ngenerated, %",
        "gain, points",
        "generated\ndigits",
        title=f"{escape(content['name'])}, {content['generated']['digits']:,} generated digits",
        caption=f"Share of {made['n']:,} {content['sections']['readers']['digits']} digits of "
        f"{content['data']['name']} that a fixed reader reads after {made['settings']['steps']} steps, mean and 95 % "
        f"interval of {made['over']}. 0: generated alone; else half of each batch with generated is real.",
    )
    table.add_row("0", "-", _with_error(made), "-")
    for size in content["sizes"]:
        real, both, gain = (readers[f"{name}, {size} a class"] for name in ("real alone", "both", "gain"))
        gained = _with_error(gain, "+.2f")
        table.add_row(f"{size:,}", _with_error(real), _with_error(both), gained, gain["settings"]["verdict"])
    audit = Table("copy audit", "generated", "PCA Gaussian,\ncannot copy")
    for name, measure in own.items():
        if name.startswith(("nearest is", "near-duplicates", "exact copies")):
            other = written(baseline[name]["value"], "share") if name in baseline else "-"
            audit.add_row(name, written(measure["value"], "share"), other)
    for column in (*table.columns[:4], *audit.columns[1:]):
        column.justify = "right"
    return [table, audit]


def _with_error(measure: Mapping[str, Any], form: str = ".2f") -> str:
    """Mean and interval, in per cent."""
    return f"{100 * measure['value']:{form}} ± {100 * measure['settings']['error']:.2f}"


SHOWN = 20
"""Scores that the terminal shows, the rarest."""


def scores_table(scores: Scores, names: Sequence[str]) -> Table:
    """The rarest of the scored images as a table; `names` are what the images are called."""
    from digitvae.evaluation.scoring import in_words

    reference = scores.reference
    title = f"{reference.title}, binarization {reference.binarization}, among {reference.digits}"
    number = "minus cross-entropy, nats" if reference.cross_entropy else "log p(x), nats"
    table = Table("image", number, "percentile", "in words", title=escape(title))
    order = np.argsort(scores.log_prob, kind="stable")
    for place in order[:SHOWN]:
        percentile = float(scores.percentile[place])
        table.add_row(escape(names[place]), f"{scores.log_prob[place]:.1f}", f"{percentile:.1f}", in_words(percentile))
    if len(order) > SHOWN:
        table.caption = f"The {SHOWN} rarest of {len(order):,}; --out writes all."
    return table


def written(value: float | None, unit: str) -> str:
    """A number as tables show it: nats with two decimals, shares in per cent, whole numbers as they are.

    >>> written(0.9512, "share"), written(-110.238, "nats"), written(None, ""), written(2, "")
    ('95.12 %', '-110.24 nats', 'undefined', '2')
    """
    if value is None:
        return "undefined"
    if unit == "share":
        return f"{100 * value:.2f} %"
    if unit == "nats":
        return f"{value:.2f} nats"
    return f"{value}" if isinstance(value, int) else f"{value:.3f}"
