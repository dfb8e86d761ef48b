"""The page of a comparison: self-contained, the same bytes again, and whole in a real browser."""

import re
from html import unescape

import pytest

from digitvae.comparison import write_page
from digitvae.comparison.tables import cell


@pytest.fixture
def page(contest):
    folder, content = contest
    return write_page(folder, content)


def test_it_is_one_file_and_the_same_again(contest, page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert write_page(*contest).read_text(encoding="utf-8") == text


def test_every_claim_model_and_definition_is_in_it(contest, page):
    content = contest[1]
    text = unescape(page.read_text(encoding="utf-8"))
    (contest,) = content["contests"]
    for claim in contest["claims"]:
        assert claim["claim"] in text
    for model in contest["models"].values():
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


def test_each_machine_is_a_contest_of_its_own(compared, tmp_path):
    _, content = compared
    (quick,) = content["contests"]
    copier = quick["models"]["copier"]
    copier = {**copier, "measures": {"recall": {**copier["measures"]["recall"], "mean": 0.125, "spread": None}}}
    slow = {**quick, "machine": "Slow (AVX2), 2 threads", "seeds": [2], "models": {"copier": copier}}
    machines = [*content["machines"], {**content["machines"][0], "name": slow["machine"], "ran": [["copier", 2]]}]
    apart = {**content, "contests": [quick, slow], "machines": machines}
    text = write_page(tmp_path, apart).read_text(encoding="utf-8")
    assert "<li>seed 2: Slow (AVX2), 2 threads;" in text
    ran = f"{quick['machine']}: seeds 0, 1; Slow (AVX2), 2 threads: seed 2."
    assert f"The seeds ran on different machines, and each machine is a contest of its own. {ran}" in text
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in text.split("<tr>")]
    of_slow = [row for row in rows if row[1:2] == ["Slow (AVX2), 2 threads"]]
    assert ["recall", "Slow (AVX2), 2 threads", "12.50 %", "–", "–", "–", "–"] in of_slow
    assert len([row for row in of_slow if row[0].endswith(".")]) == 9  # the claims
    assert write_page(tmp_path, content).read_text(encoding="utf-8").count("machine</th>") == 0


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
