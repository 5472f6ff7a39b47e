"""What axe finds wrong with the page: nothing, however it is seen and whatever happened."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import WAIT_MS, press, problems

DESK = {"viewport": {"width": 1280, "height": 720}}
PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {**DESK, "color_scheme": "light"},
    "dark": {**DESK, "color_scheme": "dark"},
    "light, high contrast": {**DESK, "color_scheme": "light", "forced_colors": "active"},
    "dark, high contrast": {**DESK, "color_scheme": "dark", "forced_colors": "active"},
    "light, on a phone": {**PHONE, "color_scheme": "light"},
    "dark, on a phone": {**PHONE, "color_scheme": "dark"},
}
# A rule of good practice and a WCAG rule alike: whatever axe calls serious or critical.
SERIOUS = {"serious", "critical"}


@pytest.fixture(params=LOOKS)
def seen(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
        **LOOKS[request.param],
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    yield page
    context.close()


def recorded(page: Page) -> Iterator[str]:
    """Go through what the page shows by itself."""
    step = page.get_by_label("Step of the run")
    for key in ("Home", "End"):
        step.press(key)
        yield f"the race after {key}"
    for family in ("Queens", "Colouring", "Sudoku"):
        press(page, family)
        yield family


def refused(page: Page) -> Iterator[str]:
    page.get_by_label("Example").select_option("An impossible one")
    yield "a clash"
    press(page, "Solve")
    expect(page.get_by_role("alert")).to_be_visible()
    yield "an error"
    page.get_by_text("As text, to paste").click()
    page.get_by_label("The puzzle as text").fill("12")
    yield "text that is no puzzle"


def solved(page: Page) -> Iterator[str]:
    page.get_by_label("Example").select_option("A hard one")
    page.get_by_label("Width").fill("512")
    press(page, "Solve")
    page.locator(".tile.running").first.wait_for()
    yield "a race that is run"
    page.keyboard.press("Escape")
    expect(page.locator("#headline")).to_contain_text("Stopped")
    press(page, "Queens")
    page.get_by_label("Width").fill("8")
    press(page, "Solve")
    page.wait_for_selector("#results[data-phase=done]")
    page.locator("#trajectories button").first.click()
    yield "a chosen trajectory"
    page.locator("#solutions button").first.click()
    yield "a chosen solution"


def shared(page: Page) -> Iterator[str]:
    page.get_by_text("For operators").click()
    expect(page.locator("#numbers")).to_contain_text("waiting")
    press(page, "Copy a link to this")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    yield "a link that is copied"
    press(page, "Save a video")
    expect(page.get_by_role("button", name="Making the video")).to_be_visible()
    yield "a video in the making"


@pytest.mark.parametrize("states", [recorded, refused, solved, shared])
def test_axe_finds_no_problem_in_any_state(
    seen: Page, states: Callable[[Page], Iterator[str]]
) -> None:
    found = {state: problems(seen) for state in states(seen)}
    assert len(found) > 1
    assert {state: wrong for state, wrong in found.items() if wrong} == {}


def test_axe_would_find_a_serious_problem(page: Page) -> None:
    page.evaluate("() => document.documentElement.removeAttribute('lang')")
    assert {problem.split()[0] for problem in problems(page)} & SERIOUS
