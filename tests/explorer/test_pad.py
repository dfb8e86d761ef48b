"""The Draw view in a real browser: strokes and pictures, their answers, and what is left of them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image


def test_a_digit_is_written_and_answered(opened, explored) -> None:
    page = opened("#draw")
    page.drawn()
    page.until("/^A 1, /.test(document.getElementById('verdict').textContent)")
    assert (
        "of real digits" in page.locator("#verdict").text_content()
        or "ordinary" in page.locator("#verdict").text_content()
    )
    assert "Minus cross-entropy −" in page.locator("#score").text_content()  # the run keeps pixels grey
    fitted = page.digit("fitted")
    assert fitted.max() == 255
    rows = np.flatnonzero((fitted > 90).any(1))
    assert 19 <= rows[-1] - rows[0] + 1 <= 21  # as MNIST was made
    codes, _ = explored.drawer.encode(fitted[None], None)
    place = page.locator("#placed-text").text_content().replace("−", "-")
    assert f"{codes[0, 0]:.2f}, {codes[0, 1]:.2f}" in place
    assert page.locator("#bars li").count() == 10
    assert page.locator("#nearest canvas").count() == 6
    assert page.locator("#same-hand canvas").count() == 10
    assert page.evaluate("document.getElementById('placed').getContext('2d').getImageData(0,0,99,99).data.some(v => v)")
    page.get_by_label("It is a").select_option("7")
    page.until("document.getElementById('verdict').textContent.includes('you say a 7')")
    page.locator("#undo").click()
    page.until("document.getElementById('answer').hidden")
    page.locator("#example").click()
    page.until("!document.getElementById('answer').hidden")
    page.locator("#clear").click()
    page.until("document.getElementById('answer').hidden")


def picture_file(tmp_path: Path, image: np.ndarray) -> Path:
    path = tmp_path / "digit.png"
    Image.fromarray(np.kron(image, np.ones((8, 8), np.uint8))).save(path)
    return path


def test_a_picture_is_uploaded_pasted_and_refused(opened, digits, tmp_path) -> None:
    page = opened("#draw")
    image = digits.validation.images[0]
    page.locator("#pad").wait_for()  # before it is there, nobody takes the picture
    page.locator("#upload").set_input_files(picture_file(tmp_path, image))
    page.until("!document.getElementById('answer').hidden")
    first = page.digit("fitted")
    page.has("grey=")
    page.reload()
    page.until("!document.getElementById('answer').hidden")
    np.testing.assert_array_equal(page.digit("fitted"), first)
    page.until("DV.points.edge !== null")
    page.wait_for_timeout(200)
    assert page.evaluate("document.getElementById('placed').getContext('2d').getImageData(0,0,99,99).data.some(v => v)")
    content = io.BytesIO()
    Image.fromarray(digits.validation.images[1]).save(content, "PNG")
    page.evaluate(
        """text => { const data = new DataTransfer();
        data.items.add(new File([DV.bytes(text)], 'a.png', { type: 'image/png' }));
        dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); }""",
        base64.b64encode(content.getvalue()).decode(),
    )
    page.until(f"document.getElementById('fitted').grey[0].join() !== {','.join(map(str, first.flat))!r}")
    np.testing.assert_array_equal(page.digit("fitted"), digits.validation.images[1])
    none = tmp_path / "none.png"
    none.write_bytes(b"no picture")
    page.locator("#upload").set_input_files(none)
    page.until("!document.getElementById('failure').hidden")
    assert "not a picture" in page.locator("#failure").text_content()
    assert page.locator("#answer").is_hidden()
    opened.faults[:] = [f for f in opened.faults if "400" not in f]  # the browser notes each refusal


def test_a_drawing_survives_a_reload(opened) -> None:
    page = opened("#draw")
    page.drawn()
    page.has("strokes=")
    before = page.digit("fitted")
    page.reload()
    page.until("!document.getElementById('answer').hidden")
    assert np.abs(page.digit("fitted").astype(int) - before).mean() < 6  # two bytes a point


def test_nothing_moves_under_a_finger_that_writes_a_second_stroke(opened) -> None:
    page = opened("#draw", width=375, has_touch=True, is_mobile=True)
    page.locator("#pad").wait_for()
    box = page.locator("#pad").bounding_box()

    def at(a: float, b: float) -> tuple[float, float]:
        return box["x"] + a * box["width"], box["y"] + b * box["height"]

    page.touch("touchStart", at(0.3, 0.2))
    page.touch("touchMove", at(0.5, 0.2))
    page.touch("touchMove", at(0.7, 0.2))
    page.touch("touchEnd")
    page.touch("touchStart", at(0.7, 0.2))
    page.touch("touchMove", at(0.6, 0.5))
    page.wait_for_timeout(900)  # in which the first stroke alone would have been answered, and brought into sight
    page.touch("touchMove", at(0.5, 0.8))
    page.touch("touchEnd")
    page.until("!document.getElementById('answer').hidden")
    page.wait_for_timeout(600)
    assert page.evaluate("scrollY") == 0
    written = page.evaluate("[...DV.fromAddress(new URLSearchParams(location.hash.split('?')[1]).get('strokes'))]")
    assert written.count(255) == 2  # between the strokes
    np.testing.assert_allclose(written[-2:], [0.5 * 254, 0.8 * 254], atol=3)


def test_a_refused_drawing_has_no_answer_and_stays(opened) -> None:
    page = opened("#draw")
    page.drawn()
    page.evaluate("() => { DV.source.draw = async () => { throw new Error('Not one digit.'); }; }")
    page.stroke((0.1, 0.2), (0.1, 0.8))
    page.until("!document.getElementById('failure').hidden")
    assert page.locator("#answer").is_hidden()
    assert page.evaluate("DV.drawn") is None
    page.until("DV.fromAddress(location.hash.match(/strokes=([^&]*)/)?.[1] || '').includes(255)")  # both strokes
    page.locator("#clear").click()
    page.until("document.getElementById('failure').hidden")


def test_a_drawing_is_kept_where_the_view_changes_before_its_answer(opened) -> None:
    page = opened("#draw")
    page.stroke((0.55, 0.2), (0.47, 0.8))
    page.evaluate("() => { DV.go('write'); DV.go('draw'); }")
    page.until("!document.getElementById('answer').hidden")
    page.has("strokes=")


def test_a_picture_waits_for_its_answer_while_another_view_is_looked_at(opened, digits, tmp_path) -> None:
    page = opened("#draw")
    page.locator("#pad").wait_for()
    page.evaluate(
        """() => { const draw = DV.source.draw; window.asked = 0;
        DV.source.draw = async (...given) => { window.asked += 1; await new Promise(done => { window.answer = done; });
        return draw(...given); }; }"""
    )
    page.locator("#upload").set_input_files(picture_file(tmp_path, digits.validation.images[0]))
    page.until("window.asked === 1")
    page.evaluate("() => { DV.go('write'); DV.go('draw'); window.answer(); }")
    page.until("!document.getElementById('answer').hidden")
    page.has("grey=")


def test_a_drawing_is_found_on_the_map_and_its_posterior_is_seen_however_small(opened, explored) -> None:
    page = opened("#draw")
    page.until("DV.points.edge !== null")
    page.evaluate(
        """() => { const draw = DV.source.draw;
        DV.source.draw = async (...given) => ({ ...await draw(...given), covariance: [[1e-6, 0], [0, 4e-6]] }); }"""
    )
    page.drawn()
    assert "times as large" in page.locator("#placed-text").text_content()
    codes, _ = explored.drawer.encode(page.digit("fitted")[None], None)
    page.get_by_role("button", name="Show on the map").click()
    page.until("document.querySelectorAll('#pins li').length === 1")
    page.has("pins=")
    pinned = page.evaluate("location.hash.match(/pins=([^&]+)/)[1].split(',').map(Number)")
    np.testing.assert_allclose(pinned, codes[0], atol=2e-5)
    assert page.evaluate("location.hash.match(/at=([^&]+)/)[1].split(',').map(Number)") == pinned
