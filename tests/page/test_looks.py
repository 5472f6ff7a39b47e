"""How the page is for those who see it on a phone, in the dark, or by keys alone, and how fast."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import press

FAMILIES = ("Sudoku", "Queens", "Colouring")
MAX_PAINT_MS = 1000.0
TRIES = 6
PAINTED = """() => performance.getEntriesByType("paint")
  .filter(({ name }) => name === "first-contentful-paint").map(({ startTime }) => startTime)"""
OVERFLOWING = "() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"


def test_the_first_paint_comes_within_a_second(browser: Browser, url: str) -> None:
    painted_ms = []
    for _ in range(TRIES):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("#board .cell")
        painted_ms += page.evaluate(PAINTED)
        context.close()
        if min(painted_ms, default=MAX_PAINT_MS) < MAX_PAINT_MS:
            break
    assert min(painted_ms) < MAX_PAINT_MS


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    for width in (320, 390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        for family in FAMILIES:
            press(page, family)
            assert page.evaluate(OVERFLOWING) <= 0, (width, family)


def test_fingers_fill_in_a_sudoku_by_the_keys_below_it(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Size").select_option("4x4")
    page.locator('[data-at="1,2"]').tap()
    page.get_by_role("group", name="Keys").get_by_role("button", name="3").tap()
    expect(page.locator('[data-at="1,2"]')).to_have_text("3")
    page.get_by_role("button", name="Clear the cell").tap()
    expect(page.locator('[data-at="1,2"]')).to_have_text("")
    # There are no keys to press beside the button.
    expect(page.locator("#solve-keys")).to_be_hidden()
    # Large enough for a finger: the 24 pixels of WCAG 2.2, and more.
    for key in page.locator(".pad-key").all():
        box = key.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 40
    context.close()


def test_a_graph_is_built_by_keys_alone(page: Page) -> None:
    family = page.get_by_role("button", name="Colouring", exact=True)
    family.press("Enter")
    expect(family).to_be_focused()
    page.get_by_role("button", name="Clear", exact=True).press("Enter")
    vertex = page.locator("[data-vertex]")
    vertex.nth(0).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(vertex.nth(1)).to_have_accessible_name("vertex 1, no colour, joined to 0")
    page.keyboard.press("2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("2")
    expect(vertex.nth(0)).to_have_accessible_name("vertex 0, colour 2 fixed, joined to 1, clashes")
    expect(page.locator("#clashes")).to_have_text(
        "vertices 0 and 1 are joined and both have colour 2"
    )
    page.keyboard.press("0")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    expect(vertex).to_have_count(7)


def test_a_graph_is_built_by_pointer(page: Page) -> None:
    press(page, "Colouring")
    press(page, "Clear")
    ground = page.locator(".graph-board")
    vertex = page.locator("[data-vertex]")
    vertex.nth(2).click()
    vertex.nth(5).click()
    expect(vertex.nth(5)).to_have_accessible_name("vertex 5, no colour, joined to 2")
    vertex.nth(7).press("Delete")
    expect(vertex).to_have_count(7)
    ground.click(position={"x": 30, "y": 30})
    expect(vertex).to_have_count(8)
    before = vertex.nth(0).get_attribute("transform")
    vertex.nth(0).drag_to(ground, target_position={"x": 60, "y": 200})
    after = str(vertex.nth(0).get_attribute("transform"))
    assert after != before
    expect(page.locator(".edge")).to_have_count(1)
    # The server would not take one more.
    ground.click(position={"x": 200, "y": 180})
    expect(page.get_by_role("alert")).to_have_text(
        "This server takes graphs of at most 8 vertices."
    )
    expect(vertex).to_have_count(8)
    place = [float(number) for number in re.findall(r"[\d.]+", after)]
    assert place[0] < 30


def test_dark_and_light_can_be_chosen_and_are_kept(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    expect(page.get_by_role("button", name="Dark theme", pressed=True)).to_be_visible()
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(paper) == light


def test_who_wants_less_motion_gets_none(page: Page) -> None:
    moving = "() => getComputedStyle(document.querySelector('.tile')).transitionDuration"
    assert page.evaluate(moving) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == "0s"
