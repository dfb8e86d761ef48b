"""The page of a comparison: self-contained, the same bytes again, and whole in a real browser."""

import re
from html import unescape

import pytest

from digitvae.comparison import write_page
from digitvae.comparison.page import cell


@pytest.fixture
def page(contest):
    folder, content = contest
    return write_page(folder, content)


def test_it_is_one_file_and_the_same_again(contest, page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert write_page(*contest).read_text(encoding="utf-8") == text


def test_every_claim_model_and_definition_is_in_it(contest, page):
    _, content = contest
    text = unescape(page.read_text(encoding="utf-8"))
    for claim in content["claims"]:
        assert claim["claim"] in text
    for model in content["models"].values():
        assert model["title"] in text
        for measure in model["measures"].values():
            assert measure["definition"] in text
    assert content["command"] in text
    assert "undefined" in text  # the likelihood of a GAN


def test_failures_are_told_at_the_top(compared):
    folder, content = compared
    text = write_page(folder, content).read_text(encoding="utf-8")
    assert "diverges: a run failed. The loss of the critic is nan at step 2." in text
    assert "without: a run hardly ever draws 3, 8." in text


def test_seeds_on_different_machines_are_told_at_the_top(compared, tmp_path):
    _, content = compared
    slow = {**content["machines"][0], "name": "Slow (AVX2), 2 threads", "ran": [["copier", 1]]}
    text = write_page(tmp_path, {**content, "machines": [*content["machines"], slow]}).read_text(encoding="utf-8")
    assert "The seeds ran on different machines" in text
    assert "Seed 1 ran on more than one machine" in text
    assert "<li>seed 1: Slow (AVX2), 2 threads;" in text
    assert "on more than one machine" not in write_page(tmp_path, content).read_text(encoding="utf-8")


def test_cells():
    measures = {
        "a": {"mean": 0.5, "spread": 0.01, "unit": "share"},
        "b": {"mean": -1.5, "spread": None, "unit": "nats"},
        "c": {"mean": None, "spread": None, "unit": ""},
    }
    model = {"kind": "gan", "measures": measures}
    assert [cell(model, name) for name in ("a", "b", "c", "log p(x)")] == [
        "50.00 ± 1.00 %",
        "−1.50",
        "–",
        "undefined",
    ]


@pytest.mark.parametrize("width", [375, 1440])
def test_in_a_browser(page, browser, width):
    faults: list[str] = []
    opened = browser.new_page(viewport={"width": width, "height": 900})
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda r: None if r.url.startswith(("data:", "file:")) else faults.append(r.url))
    opened.goto(page.as_uri())
    assert opened.evaluate("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()
    assert faults == []
