"""The report in a real browser: no errors, nothing fetched, the stepper by keyboard, a phone's width."""

from __future__ import annotations

import pytest


@pytest.fixture
def opened(browser, written):
    """Opens the report; afterwards there must have been no error and no request but the page itself."""
    faults: list[str] = []
    pages = []

    def open_page(width: int = 1440, report=written, **context: object):
        page = browser.new_page(viewport={"width": width, "height": 900}, **context)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("data:", "file:")) else faults.append(r.url))
        page.goto(report.run.report_file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert faults == []


def shown(page) -> list[str]:
    return page.eval_on_selector_all(".snapshot", "all => all.filter(e => e.offsetParent).map(e => e.id)")


@pytest.mark.parametrize("name", ["written", "told"])
def test_all_pictures_are_drawn(opened, name: str, request) -> None:
    page = opened(report=request.getfixturevalue(name))
    page.get_by_role("button", name="Show all").click()
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    page.evaluate("Promise.all(Array.from(document.images).map(i => { i.loading = 'eager'; return i.decode(); }))")
    assert page.evaluate("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")


def test_the_stepper_by_keyboard(opened) -> None:
    page = opened()
    assert shown(page) == ["epoch-0003"]
    tab = page.get_by_role("tab", selected=True)
    tab.focus()
    page.keyboard.press("Home")
    assert shown(page) == ["epoch-0001"]
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["epoch-0002"]
    assert page.evaluate("document.activeElement.id") == "tab-epoch-0002"
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["epoch-0001"]


def test_play_goes_on_until_paused(opened) -> None:
    page = opened(reduced_motion="reduce")
    assert shown(page) == ["epoch-0003"]  # nothing moves unasked
    page.get_by_role("button", name="Play").click()
    assert shown(page) == ["epoch-0001"]
    page.wait_for_function("!document.getElementById('epoch-0002').hidden")
    page.get_by_role("button", name="Pause").click()
    before = shown(page)
    page.wait_for_timeout(1600)
    assert shown(page) == before


def test_a_link_opens_its_snapshot(opened) -> None:
    page = opened()
    page.evaluate("location.hash = 'epoch-0002'")
    page.wait_for_function("!document.getElementById('epoch-0002').hidden")
    assert shown(page) == ["epoch-0002"]


@pytest.mark.parametrize(("name", "scheme"), [("written", "light"), ("written", "dark"), ("told", "light")])
def test_a_phone_needs_no_scrolling_sideways(opened, name: str, scheme: str, request) -> None:
    page = opened(width=375, report=request.getfixturevalue(name), color_scheme=scheme)
    page.get_by_role("button", name="Show all").click()
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_without_script_and_in_print_all_snapshots_show(opened, browser) -> None:
    everything = ["epoch-0001", "epoch-0002", "epoch-0003"]
    assert shown(opened(java_script_enabled=False)) == everything
    page = opened()
    page.emulate_media(media="print")
    assert shown(page) == everything
