"""The explorer's page as a whole: its address, a phone, light and dark, how it starts, shipped models, a folder."""

from __future__ import annotations

import base64
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from digitvae.explorer.explored import Explored
from digitvae.explorer.exporting import export_folder

STATES = [
    "#map?at=0.5,0.25&pins=1,1;-1,0&line=-1,-1;1,1&beyond=0.5&view=0.5,0.5,2&layers=points,density&hide=3,4&move=1",
    "#film?epoch=2",
    "#style?digit=4&hand=11&slant=12",
    "#write?text=3%2B4&hand=5&height=128",
]


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_the_address_keeps_the_state(opened, state: str) -> None:
    page = opened(f"{state}&x=1")  # which nobody asks for: it goes once the page writes its address itself
    page.until(f"location.hash === {state!r}")
    page.reload()
    page.wait_for_timeout(900)
    assert page.evaluate("location.hash") == state


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["map", "film", "draw", "style", "write"])
def test_a_phone_needs_no_scrolling_sideways(opened, view: str, scheme: str) -> None:
    page = opened(f"#{view}", width=375, color_scheme=scheme)
    page.wait_for_timeout(300)
    if view == "draw":
        page.locator("#example").click()
        page.until("!document.getElementById('answer').hidden")
    if view == "map":
        page.ready()
        page.locator("#probe-again").get_by_role("button", name="Show").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.slow
def test_light_and_dark_by_hand_and_kept(opened) -> None:
    page = opened("#draw", color_scheme="light")
    page.locator("#example").click()
    page.until("!document.getElementById('answer').hidden")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Change to dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.reload()
    page.get_by_role("button", name="Change to light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper


def test_nothing_moves_where_motion_is_not_wanted(opened) -> None:
    page = opened("#film", reduced_motion="reduce")
    page.until("document.getElementById('film-plate').plate")
    page.until("DV.points.edge !== null")
    page.wait_for_timeout(300)
    page.evaluate("document.getElementById('film-slider').value = 0")
    page.evaluate(
        "window.frames_ = 0; const old = DV.Plot.prototype.redraw;"
        " DV.Plot.prototype.redraw = function () { window.frames_ += 1; old.call(this); }"
    )
    page.get_by_role("button", name="After epoch 1").click()
    page.wait_for_timeout(700)
    assert page.evaluate("window.frames_") <= 3  # a film at 60 Hz would have 54


@pytest.mark.slow
def test_no_text_is_too_faint_and_all_controls_have_names(opened) -> None:
    for scheme in ("light", "dark"):
        page = opened("#map", color_scheme=scheme)
        page.ready()
        for name in ("ink", "soft", "pen", "red"):
            assert contrast(page, name, "paper") >= 4.5
            assert contrast(page, name, "sheet") >= 4.5
        unnamed = page.evaluate(
            """[...document.querySelectorAll('button, input, select, canvas[tabindex], a[href]')].filter(e => !(
            e.textContent.trim() || e.getAttribute('aria-label') || e.labels && e.labels.length))
            .map(e => e.outerHTML)"""
        )
        assert unnamed == []


def contrast(page, a: str, b: str) -> float:
    """The contrast ratio of two colours of the page (WCAG 2)."""
    light = []
    for name in (a, b):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (value / 255 for value in page.evaluate(f"DV.rgb({name!r})"))
        ]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_the_page_comes_before_the_model(browser, serve) -> None:
    """It says that it loads, and shows what there is once there is something."""
    from digitvae.explorer.answering import Desk

    waiting: Future[Explored] = Future()
    where = serve(Desk(waiting))
    page = browser.new_page()
    page.goto(where)
    assert "Loading" in page.locator("#facts").text_content()
    page.close()


@pytest.mark.slow
def test_shipped_models_have_no_film_and_say_so(opened, serve, desk_of, digits) -> None:
    where = serve(desk_of(Explored("map", digits, "mnist-5k")))
    page = opened("#film", where=where)
    page.until("!document.getElementById('film-notice').hidden")
    assert "no film" in page.locator("#film-notice").text_content()
    assert "seen in training" in page.locator("#facts").text_content()


@pytest.mark.slow
def test_a_studio_in_the_browser(opened, serve, desk_of, digits, studio) -> None:
    explored = Explored("studio", digits, "mnist-5k")
    where = serve(desk_of(explored))
    page = opened("#map?at=0.5,0.5&line=0,0;1,1", where=where)
    page.ready()
    page.get_by_label("Drawn as the digit").select_option("8")
    page.has("as=8")
    page.until("document.getElementById('probe-again').made?.command.includes(' 8:')")
    page.wait_for_timeout(400)
    command = page.copied("probe-again", "command")
    code = np.array([float(value) for value in command.split("8:")[1].split(" ")[0].split(",")])
    drawn = studio.draw(code[None], np.array([8]))[0]
    assert np.abs(page.digit("probe").astype(int) - drawn).mean() < 1  # the command has five decimals
    page.get_by_role("button", name="Pin this digit").click()
    page.get_by_label("Drawn as the digit").select_option("3")
    page.get_by_role("button", name="Pin this digit").click()
    page.has("pins=0.5,0.5,8;0.5,0.5,3")
    page.get_by_label("Drawn as the digit").select_option("5")
    page.has("as=5")
    for again in (False, True):
        if again:
            page.reload()
        page.until("document.querySelectorAll('#pins canvas').length === 2")
        pins = page.evaluate("[...document.querySelectorAll('#pins canvas')].map(pin => DV.base64(pin.grey[0]))")
        for digit, pin in zip((8, 3), pins, strict=True):
            shown = np.frombuffer(base64.b64decode(pin), np.uint8).reshape(28, 28).astype(int)
            assert np.abs(shown - explored.decode(np.array([[0.5, 0.5]]), digit)[0]).max() <= 1
    page.locator("#tab-style").click()
    assert page.locator("#style-notice").is_hidden()


@pytest.mark.slow
def test_a_model_without_a_map_takes_drawings(opened, serve, desk_of, make_run, digits) -> None:
    where = serve(desk_of(Explored(str(make_run("latent_dim=1", epochs=1)), digits, "mnist-5k")))
    page = opened("#draw", where=where)
    page.drawn()
    assert page.locator("#failure").is_hidden()
    assert page.locator("#placed").is_hidden()


@pytest.mark.slow
def test_a_few_digits_have_a_map_and_can_be_exported(opened, serve, desk_of, run, digits, tmp_path) -> None:
    few = replace(digits, validation=digits.validation.subset(slice(8)))
    explored = Explored(str(run), few, "mnist-5k")
    page = opened("#map?layers=points,density,clusters,edge", where=serve(desk_of(explored)))
    page.until("document.getElementById('map-text').textContent.includes('too few')")
    assert page.locator("#failure").is_hidden()
    assert page.locator("#probe-data").text_content() == "–"
    export_folder(explored, tmp_path / "site")


@pytest.mark.slow
def test_an_exported_folder_opens_from_disk(opened, run, digits, tmp_path) -> None:
    out = tmp_path / "site"
    explored = Explored(str(run), digits, "mnist-5k")
    export_folder(explored, out)
    page = opened("#map?at=0.5,-0.25&line=-1,-1;1,1", where=(out / "index.html").as_uri())
    page.ready()
    assert page.locator("[role=tab]").count() == 2
    page.until("document.querySelectorAll('#strip li').length === 11")
    shown = page.digit("probe").astype(int)
    assert np.abs(shown - explored.decode(np.array([[0.5, -0.25]]))[0]).max() <= 12
    assert "differ from the decoder's by at most" in page.locator("#foot").text_content()
    page.evaluate("location.hash = '#map?at=50,0&line=0,0;60,0'")
    page.until("document.getElementById('probe-data').textContent.includes('not exported')")
    page.until("document.getElementById('line-text').textContent.includes('beyond what was exported')")
    page.evaluate("location.hash = '#map'")
    x, y = page.middle()
    page.mouse.click(x + 60, y + 10)
    page.until("document.querySelectorAll('#pins li').length === 1")
    page.locator("#layers").get_by_role("button", name="Clusters").click()
    page.locator("#tab-film").click()
    page.until("document.getElementById('film-plate').plate")
    page.get_by_role("button", name="After epoch 1").click()
    page.has("epoch=1")
