"""The run that plays when the page opens, runs played again, and what follows a run."""

import itertools
import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.page.conftest import Serve, board, expect_board, press, solve_to_end

SOLUTION = "812753649943682175675491283154237896369845721287169534521974368438526917796318452"
FRAMES = """() => new Promise((resolve) => {
  const times = [];
  const note = (now) => {
    times.push(now);
    if (now - times[0] > 4000) resolve(times); else requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
})"""


def slider(page: Page) -> int:
    return int(page.get_by_label("Step of the run").input_value())


def labels(page: Page) -> object:
    return page.locator("#trajectories button").evaluate_all(
        "tiles => tiles.map(tile => tile.getAttribute('aria-label'))"
    )


def test_the_page_plays_a_recorded_run_without_work_of_the_server(
    browser: Browser, url: str
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_label("Speed").select_option("fast")
    expect(page.locator(".tile.running")).not_to_have_count(0)
    expect(page.locator("#shown")).to_have_text("What 32 trajectories agree on")
    expect(page.locator("#board .agree-4")).not_to_have_count(0)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=30_000)
    expect(page.locator("#headline")).to_have_text("1 distinct solution")
    expect_board(page, SOLUTION)
    assert page.locator(".tile.solved:not(.solution)").count() > 16
    assert not [address for address in asked if "/solve" in address or "/generate" in address]
    assert page.url.rstrip("/") == url
    page.close()


def test_a_run_is_stepped_through_by_keys_and_pointer(page: Page) -> None:
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="One step on").click()
    at = slider(page)
    page.get_by_role("button", name="One step back").click()
    expect(page.get_by_label("Step of the run")).to_have_value(str(at - 1))
    step = page.get_by_label("Step of the run")
    step.focus()
    page.keyboard.press("Home")
    expect(page.locator("#headline")).to_have_text(re.compile(r"Step 1: 0 of 32 verified"))
    expect(page.get_by_role("button", name="One step back")).to_be_disabled()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#headline")).to_contain_text("Step 2: ")
    expect(step).to_have_attribute("aria-valuetext", re.compile(r"2 of \d+"))
    page.keyboard.press("End")
    expect(page.locator("#headline")).to_have_text("1 distinct solution")
    expect_board(page, SOLUTION)


def test_who_wants_less_motion_sees_the_run_stand_still(still: Page) -> None:
    at = slider(still)
    assert at > 1
    still.wait_for_timeout(1000)
    assert slider(still) == at


def test_a_pointer_on_a_board_names_its_step_and_what_it_breaks(page: Page) -> None:
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Step of the run").press("Home")
    tile = page.locator("#trajectories button").nth(3)
    tile.hover()
    said = re.compile(r"^Trajectory 3: thinking, step 1; it breaks (row|column|box) [1-9], ")
    expect(tile).to_have_attribute("title", said)


def test_the_run_is_played_without_a_dropped_second(page: Page) -> None:
    page.get_by_label("Speed").select_option("fast")
    times = page.evaluate(FRAMES)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # Where nothing else runs it is below 50 ms; the tests beside this one have the processors too.
    assert max(gaps) < 5000
    # 24 steps a second are wanted; a busy machine may show fewer, and never many at once.
    assert slider(page) > 20


def test_an_edit_ends_the_recording_and_is_the_visitors_turn(page: Page) -> None:
    turn = page.get_by_text("This run was recorded.")
    expect(turn).to_be_visible()
    page.locator('[data-at="0,1"]').click()
    page.keyboard.press("1")
    expect(turn).to_be_hidden()
    expect(page.get_by_role("group", name="Play the run again")).to_be_hidden()
    expect(page.locator("#headline")).to_contain_text("ready to think")
    expect(page.locator('[data-at="0,1"]')).to_have_text("1")


def test_the_recorded_puzzle_is_run_live(page: Page) -> None:
    page.get_by_label("Width").fill("2")
    page.get_by_label("Depth").fill("2")
    page.get_by_role("button", name="Run it live").click()
    page.wait_for_selector("#results[data-phase=done]")
    expect(page.locator("#detail")).to_contain_text("of 2 verified")


def test_a_run_of_ones_own_is_played_again_as_it_was(page: Page) -> None:
    press(page, "Queens")
    solve_to_end(page, width=8, seed=5)
    ended = labels(page)
    headline = page.locator("#headline").inner_text()
    page.get_by_label("Step of the run").press("Home")
    expect(page.locator("#headline")).to_contain_text("verified")
    page.get_by_label("Speed").select_option("fast")
    press(page, "Play")
    expect(page.locator("#headline")).to_have_text(headline)
    assert labels(page) == ended


def test_solutions_are_counted_by_exact_search(page: Page) -> None:
    press(page, "Queens")
    page.get_by_label("Example").select_option("8x8, empty: 92 solutions")
    page.get_by_role("button", name="How many are there?").click()
    expect(page.locator("#total")).to_have_text("92 solutions in all, by exact search.")
    solve_to_end(page, width=8)
    expect(page.locator("#total")).to_have_text("")
    found = page.locator("#solutions button").count()
    page.get_by_role("button", name="How many are there?").click()
    expect(page.locator("#total")).to_have_text(
        f"92 solutions in all, by exact search; {found} found here."
    )


@pytest.mark.slow
def test_a_new_puzzle_is_generated_by_the_server(
    context: BrowserContext,
    serve: Serve,
) -> None:
    page = context.new_page()
    page.goto(serve("--model", "sudoku-9x9", "--model", "sudoku-9x9-generate"))
    page.get_by_role("button", name="Make a new puzzle").click()
    expect(page.get_by_text("This run was recorded.")).to_be_hidden()
    givens = board(page)
    assert 17 <= sum(mark != "." for mark in givens) < 40
    page.get_by_role("button", name="How many are there?").click()
    expect(page.locator("#total")).to_have_text("1 solution in all, by exact search.")
    page.get_by_label("Example").select_option("A new one")
    expect(page.get_by_role("button", name="Undo")).to_have_attribute("aria-disabled", "false")
    page.wait_for_function(
        "before => [...document.querySelectorAll('#board .cell')]"
        ".map((cell) => cell.innerText || '.').join('') !== before",
        arg=givens,
    )
