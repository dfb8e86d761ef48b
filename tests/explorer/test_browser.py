"""The explorer in a real browser: the controls of Map, Film, Style and Write, with mouse and fingers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


def test_the_probe_follows_the_pointer_and_shows_what_the_decoder_draws(opened, explored) -> None:
    page = opened()
    page.ready()
    x, y = page.middle()
    page.mouse.move(x + 90, y - 60)
    page.until("document.getElementById('probe-reads').textContent.includes('%')")
    page.until("/at=[^0]|at=0[.]/.test(location.hash)")
    place = page.evaluate("location.hash.match(/at=([^&]+)/)[1].split(',').map(Number)")
    assert place[0] > 0.2
    assert place[1] > 0.2
    page.until("DV.views.map.stats.trips.length > 0")
    page.wait_for_timeout(200)
    np.testing.assert_array_equal(page.digit("probe"), explored.decode(np.array([place], np.float32))[0])
    assert page.locator("#probe-data").text_content() in ("inside", "outside: the model goes on by itself")
    assert "reads as" in page.locator("#said").text_content()
    row = np.square(explored.places - np.array(place)).sum(1).argmin()
    np.testing.assert_array_equal(page.digit("real-digit"), explored.splits.validation.images[row])
    assert f"digit {row + 1:,}" in page.locator("#real-text").text_content()


def test_pins_lines_and_extrapolation_with_the_mouse(opened) -> None:
    page = opened()
    page.ready()
    x, y = page.middle()
    page.mouse.click(x - 100, y)
    page.mouse.click(x + 100, y + 40)
    page.until("document.querySelectorAll('#pins li').length === 2")
    page.locator("#pins .drop").first.click()
    page.until("document.querySelectorAll('#pins li').length === 1")
    page.get_by_role("button", name="Pin this digit").click()
    page.mouse.move(x - 120, y + 50)
    page.mouse.down()
    page.mouse.move(x, y, steps=4)
    page.mouse.move(x + 150, y - 80, steps=4)
    page.mouse.up()
    page.until("document.querySelectorAll('#strip li').length === 11")
    assert page.locator("#strip .outside").count() < 11
    page.locator("#beyond").fill("2")
    page.until("document.querySelector('#strip span').textContent === '−200 %'")
    page.until("document.querySelectorAll('#strip .outside').length > 0")
    assert page.locator("#beyond-out").text_content() == "200 %"
    assert "at −200 % of the way" in page.locator("#strip button").first.get_attribute("aria-label")
    assert "outside the data" in page.locator("#line-text").text_content()
    page.locator("#strip button").first.click()
    page.until("document.getElementById('probe-data').classList.contains('out')")
    page.locator("#line-drop").click()
    page.until("document.getElementById('line').hidden")


def test_layers_zoom_and_move(opened) -> None:
    page = opened()
    page.ready()

    def pixels() -> str:
        page.wait_for_timeout(450)
        return page.evaluate("document.querySelector('#map-plot .base').toDataURL()")

    before = pixels()
    for layer in ("Digits", "Density", "Clusters", "Edge of the data", "Points"):
        button = page.locator("#layers").get_by_role("button", name=layer)
        pressed = button.get_attribute("aria-pressed")
        button.click()
        if layer == "Clusters":
            page.until("document.getElementById('map-text').textContent.includes('Gaussians')")
        assert button.get_attribute("aria-pressed") != pressed
        after = pixels()
        assert after != before
        before = after
    page.locator("#legend button").first.click()
    page.has("hide=0")
    page.get_by_role("button", name="Zoom in").click()
    assert pixels() != before
    page.has("view=")
    x, y = page.middle()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.get_by_role("button", name="Move", exact=True).click()
    reach = page.evaluate("DV.views.map.plot().reach")
    spot = page.evaluate("DV.views.map.plot().middle.slice()")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y + 40, steps=3)
    page.mouse.up()
    moved = page.evaluate("DV.views.map.plot().middle.slice()")
    scale = page.evaluate("DV.views.map.plot().scale")
    np.testing.assert_allclose(moved, [spot[0] - 80 / scale, spot[1] + 40 / scale], atol=1e-6)
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate("DV.views.map.plot().reach") > reach


@pytest.mark.slow
def test_fingers_pin_draw_lines_and_zoom(opened) -> None:
    page = opened(width=375, has_touch=True, is_mobile=True)
    page.ready()
    x, y = page.middle()
    page.touchscreen.tap(x - 40, y)
    page.until("document.querySelectorAll('#pins li').length === 1")
    page.touch("touchStart", (x - 60, y - 20))
    for step in range(1, 6):
        page.touch("touchMove", (x - 60 + 25 * step, y - 20 + 10 * step))
    page.touch("touchEnd")
    page.until("document.querySelectorAll('#strip li').length === 11")
    reach = page.evaluate("DV.views.map.plot().reach")
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 6):
        page.touch("touchMove", (x - 20 - 10 * step, y), (x + 20 + 10 * step, y))
    page.touch("touchEnd")
    assert page.evaluate("DV.views.map.plot().reach") < 0.7 * reach
    page.touch("touchStart", (x - 20, y))
    page.touch("touchMove", (x - 20, y), (x + 20, y))  # a second finger, and a third
    page.touch("touchMove", (x - 20, y), (x + 20, y), (x, y + 30))
    page.touch("touchEnd")
    page.wait_for_timeout(300)
    assert page.locator("#pins li").count() == 1  # three fingers are no tap


def test_the_film(opened) -> None:
    page = opened("#film")
    page.until("document.getElementById('film-plate').plate")
    page.has("epoch=3")
    plates = {page.evaluate("document.getElementById('film-plate').toDataURL()")}
    slider = page.get_by_role("slider", name="Snapshot")
    slider.focus()
    page.keyboard.press("Home")
    page.has("epoch=1")
    assert "After epoch 1: validation loss" in page.locator("#film-text").text_content()
    mark = page.locator("#curve .now").get_attribute("cx")
    page.wait_for_timeout(1300)
    plates.add(page.evaluate("document.getElementById('film-plate').toDataURL()"))
    before = page.evaluate("document.querySelector('#film-plot .base').toDataURL()")
    page.get_by_role("button", name="After epoch 2").click()
    page.wait_for_timeout(1300)
    assert page.evaluate("document.querySelector('#film-plot .base').toDataURL()") != before
    assert page.locator("#curve .now").get_attribute("cx") != mark
    assert len(plates) == 2
    page.get_by_role("button", name="Play").click()
    page.has("epoch=3")
    page.until("document.getElementById('film-play').textContent === 'Play'")


@pytest.mark.slow
def test_style_sliders_mixing_and_hands(opened) -> None:
    page = opened("#style")
    page.until("document.getElementById('style-after').grey")
    base = page.digit("style-after")
    for name, value in (("slant", "25"), ("thickness", "3.2"), ("width", "17")):
        page.locator(f"#knob-{name}").fill(value)
    page.until("document.getElementById('after-text').textContent.includes('leaning 2')")
    page.has("slant=25")
    assert not np.array_equal(page.digit("style-after"), base)
    page.get_by_role("button", name="Leave the slant as it comes").click()
    page.until("!location.hash.includes('slant')")
    page.get_by_role("slider", name="Direction 1").fill("2")
    page.has("rest=2")
    page.get_by_role("button", name="Reset all").click()
    page.until("!location.hash.includes('rest')")
    page.locator("#style-row button").nth(4).click()
    page.has("digit=4")
    page.get_by_role("button", name="Next hand").first.click()
    page.has("hand=43")
    page.get_by_role("button", name="Hand before").first.click()
    page.has("hand=42")
    page.locator("#style-hand").fill("77")
    page.keyboard.press("Enter")
    page.has("hand=77")
    page.locator("#style-hand-any").click()
    page.get_by_role("button", name="My drawing").click()
    page.until("document.getElementById('failure').textContent.includes('Draw view first')")
    page.locator("#tab-draw").click()
    page.drawn()
    page.locator("#tab-style").click()
    page.get_by_role("button", name="My drawing").click()
    page.has("image=")
    page.locator("#style-row button").nth(8).click()
    page.has("digit=8")
    page.get_by_role("button", name="A hand", exact=True).click()
    page.until("!location.hash.includes('image=')")


@pytest.mark.slow
def test_writing_hands_and_downloads(opened, tmp_path) -> None:
    page = opened("#write")
    page.until("document.getElementById('written').naturalWidth > 50")
    before = page.locator("#written").get_attribute("src")
    page.locator("#text").fill("90210")
    page.until("document.getElementById('written').alt.includes('90210')")
    assert page.locator("#written").get_attribute("src") != before
    page.has("text=90210")
    page.locator("#hand-more").click()
    page.has("hand=43")
    page.locator("#hand-less").click()
    page.locator("#hand-any").click()
    page.locator("#again").click()
    page.has("seed=1")
    page.locator("#ink").fill("#203080")
    page.locator("#paper").fill("#ffffee")
    page.locator("#height").select_option("32")
    page.has("height=32")
    page.until("document.querySelectorAll('#hands [data-hand]').length === 6")
    page.locator("#hands button").nth(2).click()
    page.until("document.getElementById('png').href.includes('height=32')")
    page.wait_for_timeout(300)
    with page.expect_download() as png:
        page.locator("#png").click()
    png.value.save_as(tmp_path / "note.png")
    with Image.open(tmp_path / "note.png") as picture:
        assert picture.getpixel((0, 0)) == (255, 255, 238)
    with page.expect_download() as svg:
        page.locator("#svg").click()
    svg.value.save_as(tmp_path / "note.svg")
    assert (tmp_path / "note.svg").read_text().startswith("<svg")
    page.locator("#text").fill("12a")
    page.until("document.getElementById('write-error').textContent.includes('cannot be written')")
    opened.faults[:] = [f for f in opened.faults if "400" not in f]  # the browser notes each refusal
