"""The page on screens of every size, zoomed, and with the colours of the system."""

import itertools
import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.page.conftest import DRAWN, open_with, press, solve_to_end

# A busy browser tells what it saw of several frames at once.
TOLD_TOGETHER = """(() => {
  window.IntersectionObserver = class extends IntersectionObserver {
    constructor(callback, options) {
      const told = [];
      let isWaiting = false;
      super((entries) => {
        told.push(...entries);
        if (isWaiting) return;
        isWaiting = true;
        setTimeout(() => {
          isWaiting = false;
          callback(told.splice(0));
        }, 2000);
      }, options);
    }
  };
})()"""
ALL = ("Sudoku", "Queens", "Colouring", "Maze")
# The share of dark pixels and the number of colours of the first small board.
INKED = """() => {
  const canvas = document.querySelector("#trajectories canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colors = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const color = (data[at] + data[at + 1] + data[at + 2]) >> 4;
    colors.set(color, (colors.get(color) ?? 0) + 1);
  }
  return Math.max(...colors.values()) / (data.length / 4);
}"""
OUTSIDE = """() => [...document.querySelectorAll("button, input, select, h1, h2, p")]
  .filter((one) => one.checkVisibility() && !one.closest(".unseen, .skip"))
  .filter((one) => { const box = one.getBoundingClientRect();
    return box.left < -0.5 || box.right > innerWidth + 0.5; })
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("screen", [(1280, 720), (1366, 650), (375, 667), (390, 844)])
def test_solve_is_on_the_first_screen(
    context: BrowserContext, url: str, screen: tuple[int, int]
) -> None:
    page = open_with(context, url, "maze-30x30")
    page.set_viewport_size({"width": screen[0], "height": screen[1]})
    for family in ALL:
        press(page, family)
        box = page.locator("#solve").bounding_box()
        assert box
        assert 0 < box["y"] < box["y"] + box["height"] <= screen[1], family


@pytest.mark.parametrize("screen", [(320, 568), (390, 844), (640, 360)])
def test_everything_is_whole_on_small_and_zoomed_screens(
    context: BrowserContext, url: str, screen: tuple[int, int]
) -> None:
    """Zoom 200 % of 1280x720 is a screen of 640x360."""
    page = open_with(context, url, "maze-30x30")
    page.set_viewport_size({"width": screen[0], "height": screen[1]})
    for family in ALL:
        press(page, family)
        page.evaluate(DRAWN)
        assert page.evaluate(OUTSIDE) == []
        tabs = [tab.bounding_box() for tab in page.locator(".tab").all()]
        words = page.locator(".tab").evaluate_all(
            "tabs => tabs.map((tab) => tab.scrollWidth - tab.clientWidth)"
        )
        assert max(words) <= 0
        for one, other in itertools.pairwise(tabs):
            assert one
            assert other
            assert one["x"] + one["width"] <= other["x"] + 0.5
    switch = page.get_by_label("Augment").bounding_box()
    assert switch
    assert (switch["width"], switch["height"]) == (36, 22)


def test_a_solution_that_is_chosen_on_a_phone_is_shown_where_the_finger_is(
    browser: Browser, url: str
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    context.add_init_script(TOLD_TOGETHER)
    page = context.new_page()
    page.goto(url)
    page.get_by_role("button", name="Queens", exact=True).tap()
    page.get_by_label("Width").fill("16")
    page.get_by_label("Seed").fill("5")
    page.get_by_role("button", name="Solve", exact=True).tap()
    page.wait_for_selector("#results[data-phase=done]")
    card = page.locator("#solutions button").nth(1)
    card.scroll_into_view_if_needed()
    near = page.get_by_role("complementary", name="The chosen answer")
    for _ in range(3):
        # On a busy machine the card may still move away from under the finger.
        if card.get_attribute("aria-pressed") != "true":
            card.tap()
            page.evaluate(DRAWN)
    expect(near).to_be_visible()
    expect(near).to_contain_text("Solution 2")
    expect(near).to_be_in_viewport(ratio=1)
    painted = "canvas => new Set(new Uint32Array(canvas.getContext('2d')"
    painted += ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
    assert near.locator("canvas").evaluate(painted) > 2
    near.get_by_role("button", name="Close").tap()
    expect(near).to_be_hidden()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boards_are_readable_with_forced_colours(page: Page, scheme: str) -> None:
    page.emulate_media(forced_colors="active", color_scheme="dark" if scheme == "dark" else "light")
    press(page, "Queens")
    press(page, "Sudoku")
    expect(page.locator("#trajectories canvas").first).to_be_visible()
    # Most of a board is one ground, and its signs are of other colours.
    for _ in range(40):
        share = page.evaluate(INKED)
        if 0.5 < share < 0.97:
            break
        # Boards are drawn with the next frame.
        page.wait_for_timeout(250)
    assert 0.5 < share < 0.97
    for selector in (".tab[aria-pressed=true]", "#solve"):
        drawn = page.locator(selector).evaluate(
            "one => { const style = getComputedStyle(one);"
            " return style.outlineStyle !== 'none' || style.borderStyle !== 'none'; }"
        )
        assert drawn, selector


def test_the_chart_counts_every_trajectory_at_the_step_it_took_itself(page: Page) -> None:
    """More trajectories than are shown, and than the engine has room for at once."""
    press(page, "Queens")
    solve_to_end(page, example="8x8, empty: 92 solutions", width=256, seed=3)
    path = str(page.locator("#chart .solved-line").get_attribute("d"))
    [start] = re.findall(r"^M[\d.]+,([\d.]+)", path)
    heights = [float(start) - float(y) for y in re.findall(r"V([\d.]+)", path)]
    assert heights == sorted(heights)
    solved = re.search(r"(\d+) of 256 verified", page.locator("#detail").inner_text())
    assert solved
    # All stand on the chart, most of them long before its last step.
    assert heights[-1] / 156 * 256 == pytest.approx(int(solved[1]), abs=1)
    assert heights[len(heights) // 2] > heights[-1] / 2
