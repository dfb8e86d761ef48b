"""What stands in the address, whatever it is; and answers that come late, or not at all."""

from __future__ import annotations

import numpy as np
import pytest


def without_refusals(opened) -> None:
    """Leave out of the faults what the browser notes at each refusal."""
    opened.faults[:] = [fault for fault in opened.faults if "400" not in fault]


@pytest.mark.parametrize("view", ["0,0,1e9", "0,0,1e-9", "1e17,0,4"])
def test_a_view_of_the_map_stays_near_the_points(opened, view: str) -> None:
    page = opened(f"#map?view={view}")
    page.ready()
    page.wait_for_timeout(200)
    plot = page.evaluate("(({ reach, middle, home }) => ({ reach, middle, home }))(DV.views.map.plot())")
    assert plot["home"] / 200 <= plot["reach"] <= 8 * plot["home"]
    assert np.abs(plot["middle"]).max() <= 8 * plot["home"]
    kept = "Number(new URLSearchParams(location.hash.split('?')[1]).get('view').split(',')[2])"
    page.until(f"Math.abs({kept} - {plot['reach']}) < 1e-4")


def test_the_map_keeps_its_view_where_its_points_come_while_another_view_is_open(opened) -> None:
    page = opened("#write")
    page.until("document.getElementById('written').naturalWidth > 10")
    page.evaluate(
        """() => { const edge = DV.source.edge;
        DV.source.edge = async () => { await new Promise(done => setTimeout(done, 600)); return edge(); };
        location.hash = '#map?view=0.5,0.5,2'; }"""
    )
    page.until("!document.getElementById('map').hidden")
    page.evaluate("DV.go('write')")
    page.until("DV.points.edge !== null")
    page.wait_for_timeout(300)
    page.evaluate("DV.go('map')")
    page.has("view=0.5,0.5,2")
    assert page.evaluate("DV.views.map.plot().reach") == 2


def test_the_probe_moves_in_the_smallest_steps_that_can_be_seen(opened) -> None:
    page = opened("#map?at=0.5,0.25&view=0.5,0.25,0.02")
    page.ready()
    page.locator("#map-plot .over").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.until("/at=0[.]500[1-9]/.test(location.hash)")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("#map?as=2.5", "as=3"),
        ("#style?slant=99&rest=9", "slant=45&rest=2.5"),
        ("#style?thickness=x", "digit=7&hand=42"),
    ],
)
def test_odd_values_in_the_address_are_brought_into_range(opened, asked: str, kept: str) -> None:
    page = opened(asked)
    page.has(kept)
    page.wait_for_timeout(300)
    assert page.locator("#failure").is_hidden()
    assert "thickness" not in page.evaluate("location.hash")


def test_an_emptied_text_stays_empty(opened) -> None:
    page = opened("#write?text=31&hand=7")
    page.until("document.getElementById('written').naturalWidth > 10")
    page.locator("#text").fill("")
    page.has("text=&")
    page.reload()
    page.until("document.getElementById('write-error').textContent !== ''")
    assert page.locator("#text").input_value() == ""
    without_refusals(opened)


def test_a_digit_that_cannot_be_decoded_is_said_until_the_next_one_can(opened) -> None:
    page = opened("#map?at=2000000,0")
    page.until("DV.points.edge !== null && !document.getElementById('failure').hidden")
    page.wait_for_timeout(400)
    x, y = page.middle()
    page.mouse.move(x, y)
    page.mouse.move(x + 30, y + 10)
    page.until("document.getElementById('failure').hidden")
    without_refusals(opened)


def test_sliders_go_on_where_the_browser_takes_no_more_addresses(opened) -> None:
    page = opened("#style")
    page.until("document.getElementById('style-after').grey")
    page.wait_for_timeout(400)
    before = page.digit("style-after")
    page.evaluate(
        """() => { window.noted = 0;
        history.replaceState = () => { window.noted += 1; throw new Error('Too many.'); };
        const slider = document.getElementById('knob-slant');
        for (slider.value = 1; slider.value < 20; slider.value++) slider.dispatchEvent(new Event('input'));
        slider.dispatchEvent(new Event('input')); }"""
    )
    page.until("document.getElementById('style-again').made.command.includes('--slant 20')")
    page.wait_for_timeout(400)
    assert not np.array_equal(page.digit("style-after"), before)
    assert page.evaluate("window.noted") == 1


def test_a_late_answer_does_not_replace_a_later_one(opened) -> None:
    page = opened("#write?text=1")
    page.until("document.getElementById('written').naturalWidth > 10")
    page.evaluate(
        """() => { const line = DV.source.line; DV.source.line = async values => {
        const content = await line(values);
        if (values.text === '888888') await new Promise(done => setTimeout(done, 900));
        return content; }; }"""
    )
    page.locator("#text").fill("888888")
    page.wait_for_timeout(200)
    page.locator("#text").fill("2")
    page.until("document.getElementById('written').alt === 'The number 2 written by hand 42'")
    narrow = page.evaluate(
        "document.getElementById('written').decode().then(() => document.getElementById('written').naturalWidth)"
    )
    page.wait_for_timeout(1200)
    assert page.evaluate("document.getElementById('written').naturalWidth") == narrow


def test_a_picture_is_called_what_was_asked_for(opened) -> None:
    """Though another number stands in the field by the time that it comes, and cannot be had."""
    page = opened("#write?text=1")
    page.until("document.getElementById('written').naturalWidth > 10")
    page.evaluate(
        """() => { const line = DV.source.line, text = document.getElementById('text');
        DV.source.line = async values => {
        if (values.text === '77') throw new Error('Not to be had.');
        const content = await line(values);
        if (values.text === '31' && text.value === '31') { text.value = '77'; text.dispatchEvent(new Event('input')); }
        return content; }; }"""
    )
    page.locator("#text").fill("31")
    page.until("document.getElementById('write-error').textContent === 'Not to be had.'")
    assert page.locator("#written").get_attribute("alt") == "The number 31 written by hand 42"
    assert "text=31" in page.locator("#png").get_attribute("href")


def test_a_late_line_does_not_replace_a_later_one(opened) -> None:
    page = opened("#map?line=-1,-1;1,1")
    page.ready()
    page.until("document.querySelectorAll('#strip li').length === 11")
    page.evaluate(
        """() => { const decode = DV.source.decode; let late = true; DV.source.decode = async (places, digit) => {
        const grey = await decode(places, digit), wait = late && places.length === 22;
        if (wait) { late = false; await new Promise(done => setTimeout(done, 600)); }
        return grey; }; }"""
    )
    page.locator("#beyond").fill("1")
    page.wait_for_timeout(200)
    page.locator("#beyond").fill("2")
    page.until("document.querySelector('#strip span').textContent === '−200 %'")
    page.wait_for_timeout(700)
    assert page.locator("#strip span").first.text_content() == "−200 %"


def test_the_film_waits_for_each_of_its_pictures(opened) -> None:
    page = opened("#film?epoch=3")
    page.until("document.getElementById('film-plate').plate")
    page.evaluate(
        """() => { const snapshot = DV.source.snapshot; DV.source.snapshot = async epoch => {
        await new Promise(done => { window.go = done; });
        return snapshot(epoch); }; }"""
    )
    page.locator("#film-play").click()
    page.wait_for_timeout(1800)
    assert page.locator("#film-slider").input_value() == "0"
    page.evaluate("window.go()")
    page.until("!document.getElementById('film-plot').classList.contains('busy')")


def test_a_named_data_folder_stays_in_what_is_copied(opened) -> None:
    page = opened()
    page.ready()
    explore, film, score = page.evaluate(
        """() => { Object.assign(DV.about, { dataName: 'mnist', dataOption: null, dataDir: '/my data' });
        const found = { label: 7, nearest: [], score: { by: DV.about.name, carried: false } };
        return [DV.again.map(), DV.again.film(2), DV.again.score(found)]; }"""
    )
    assert explore["command"].endswith(" --data-dir '/my data' --export map/")
    for made in (film, score):
        assert made["command"].endswith(" --data-dir '/my data'")
    for made in (explore, film, score):
        assert 'load_splits("mnist", data_dir="/my data")' in made["python"]
