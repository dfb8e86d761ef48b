from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from digitvae.config import Config, load_recipe
from digitvae.data import Digits, Splits, load_splits
from digitvae.report import write_report
from digitvae.rundir import RunDirectory
from digitvae.running import train_run

VOID = {"meta", "link", "img", "br", "hr", "input", "source", "mspace"}
TINY = ["data.name=mnist-5k", "network=mlp", "encoder=[32]", "decoder=[32]", "activation=relu", "batch_size=64"]


class Page(HTMLParser):
    """The elements of a page with their attributes and text, in order; fails where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, list[str]]] = []
        self.open: list[int] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append((tag, []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        position = self.open.pop()
        assert self.elements[position][0] == tag, f"<{self.elements[position][0]}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        for position in self.open:
            self.texts[position][1].append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return ["".join(parts).strip() for name, parts in self.texts if name == tag]

    def tables(self, name: str) -> list[list[list[str]]]:
        """Head and rows, as text, of the tables whose region is called `name`."""
        found, table, inside = [], [], False
        for (tag, attributes), (_, parts) in zip(self.elements, self.texts, strict=True):
            if tag == "div" and attributes.get("class") == "scroll":
                inside = attributes["aria-label"] == name
                if inside:
                    table = []
                    found.append(table)
            elif inside and tag == "tr":
                table.append([])
            elif inside and tag in ("td", "th"):
                table[-1].append("".join(parts).strip())
        return found


@dataclass(frozen=True)
class Written:
    run: RunDirectory
    splits: Splits
    html: str
    page: Page


Make = Callable[..., Written]


@pytest.fixture(scope="session")
def digits() -> Splits:
    """A few real digits, in which every class occurs."""
    splits = load_splits("mnist-5k")
    return replace(splits, train=splits.train.subset(slice(600)), validation=splits.validation.subset(slice(150)))


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory, digits: Splits) -> Make:
    """Trains a tiny run and writes its report."""

    def made(
        *settings: str,
        recipe: str = "map",
        splits: Splits = digits,
        epochs: int = 3,
        change: Callable[[Path], None] | None = None,
    ):
        config: Config = load_recipe(recipe).with_settings([*TINY, f"epochs={epochs}", *settings])
        out = tmp_path_factory.mktemp("run") / "tiny"
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more of them mostly wait for each other in a run as small as this
        run = train_run(config, splits, out).run
        torch.set_num_threads(threads)
        if change is not None:
            change(out)
        html = write_report(run, splits).read_text(encoding="utf-8")
        return Written(run, splits, html, Page(html))

    return made


@pytest.fixture(scope="session")
def written(make: Make) -> Written:
    """A report with three snapshots of a plane."""
    return make("snapshots=[1,2,3]")


@pytest.fixture(scope="session")
def unlabelled(make: Make, digits: Splits) -> Written:
    """A report on images without labels and without a test set, with three latent dimensions, one snapshot, and
    more epochs planned than were run.
    """
    bare = Splits(
        "mine", Digits(digits.train.images), Digits(digits.validation.images), None, digits.sha256, ("Turned upright.",)
    )

    def plan_more(out: Path) -> None:
        config = (out / "config.toml").read_text()
        (out / "config.toml").write_text(config.replace("epochs = 2", "epochs = 9"))

    return make("latent_dim=3", "snapshots=[2]", splits=bare, epochs=2, change=plan_more)


@pytest.fixture(scope="session")
def told(make: Make) -> Written:
    """A report on a model that is told the digit and how training digits were changed, with two snapshots."""
    return make("latent_dim=4", "flow_layers=2", "flow_width=8", "snapshots=[1,2]", recipe="studio", epochs=2)


@pytest.fixture(scope="session")
def told_the_digit_alone(make: Make) -> Written:
    """A report on a model that is told the digit only, with a Normal prior in one dimension, and one snapshot."""
    return make("classes=10", "latent_dim=1", "snapshots=[1]", epochs=1)
