"""The explorer by keyboard alone: every view, in a real browser."""

from __future__ import annotations

import numpy as np
from PIL import Image


def test_the_map_by_keyboard_alone(opened) -> None:
    page = opened()
    page.ready()
    page.tab_to(".over")
    page.keyboard.press("Enter")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.until("document.querySelectorAll('#pins li').length === 2")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("l")
    page.until("document.querySelectorAll('#strip li').length === 11")
    page.until("document.getElementById('said').textContent.startsWith('At −')")
    page.keyboard.press("+")
    page.has("view=")
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    page.until("document.getElementById('line').hidden")


def test_views_by_keyboard(opened) -> None:
    page = opened()
    page.ready()
    page.locator("#tab-map").focus()
    for name in ("film", "draw", "style", "write", "map"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.locator(f"#{name}").is_visible()
    page.go_back()
    page.until("!document.getElementById('write').hidden")


def test_the_skip_link_leaves_the_view_as_it_is(opened) -> None:
    page = opened("#draw")
    page.drawn()
    page.has("strokes=")
    before, state = page.digit("fitted"), page.evaluate("location.hash")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    assert page.locator("#draw").is_visible()
    np.testing.assert_array_equal(page.digit("fitted"), before)
    assert page.evaluate("document.activeElement.id") == "views"
    assert page.evaluate("location.hash") == state


def test_the_film_by_keyboard_alone(opened) -> None:
    page = opened("#film")
    page.until("document.getElementById('film-plate').plate")
    page.tab_to("#film-play")
    page.keyboard.press("Space")
    assert page.locator("#film-play").text_content() == "Pause"
    page.keyboard.press("Space")
    assert page.locator("#film-play").text_content() == "Play"
    page.tab_to("#film-slider")
    page.keyboard.press("End")
    page.has("epoch=3")
    page.keyboard.press("Home")
    page.has("epoch=1")
    page.keyboard.press("ArrowRight")
    page.has("epoch=2")
    page.tab_to("[aria-label='After epoch 3']")
    page.keyboard.press("Enter")
    page.has("epoch=3")


def test_a_picture_is_drawn_by_keyboard_alone(opened, digits, tmp_path) -> None:
    path = tmp_path / "digit.png"
    Image.fromarray(digits.validation.images[0]).save(path)
    page = opened("#draw")
    # Listened for from here on: a browser that has just started takes a while to hand its dialogs over.
    page.on("filechooser", lambda chooser: chooser.set_files(path))
    page.locator("#pad").wait_for()
    assert page.evaluate("document.getElementById('pad').tabIndex") == -1  # which takes no keys
    page.tab_to("#upload")
    page.keyboard.press("Enter")
    page.until("!document.getElementById('answer').hidden")
    np.testing.assert_array_equal(page.digit("fitted"), digits.validation.images[0])
    page.tab_to("#truth")
    page.keyboard.press("ArrowDown")
    page.has("is=0")
    page.tab_to("#find")
    page.keyboard.press("Enter")
    page.until("document.querySelectorAll('#pins li').length === 1")


def test_a_style_by_keyboard_alone(opened) -> None:
    page = opened("#style")
    page.until("document.getElementById('style-after').grey")
    page.tab_to("#style-hand-more")
    page.keyboard.press("Enter")
    page.has("hand=43")
    page.until("document.getElementById('style-again').made.command.includes('43,7')")
    page.tab_to("#style-row li:nth-child(5) button")
    page.keyboard.press("Enter")
    page.has("digit=4")
    page.until("document.activeElement.matches('#style-row li:nth-child(5) button[aria-pressed=true]')")
    page.tab_to("#knob-slant")
    page.keyboard.press("ArrowRight")
    page.has("slant=")
    page.until("!document.getElementById('free-slant').disabled")
    page.tab_to("#free-slant")
    page.keyboard.press("Enter")
    page.until("!location.hash.includes('slant=')")
    page.tab_to("#way-0")
    page.keyboard.press("ArrowRight")
    page.has("rest=0.1")
    page.tab_to("#style-reset")
    page.keyboard.press("Enter")
    page.until("!location.hash.includes('rest=')")


def test_a_number_is_written_by_keyboard_alone(opened) -> None:
    page = opened("#write")
    page.until("document.getElementById('written').naturalWidth > 10")
    page.tab_to("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("31")
    page.until("document.getElementById('written').alt === 'The number 31 written by hand 42'")
    page.tab_to("#hand-more")
    page.keyboard.press("Enter")
    page.has("hand=43")
    page.tab_to("#again")
    page.keyboard.press("Space")
    page.has("seed=1")
    page.tab_to("#height")
    page.keyboard.press("ArrowDown")
    page.has("height=128")
    page.until("document.getElementById('png').href.includes('height=128')")
    page.tab_to("#png")
    with page.expect_download() as png:
        page.keyboard.press("Enter")
    assert png.value.suggested_filename == "note.png"
