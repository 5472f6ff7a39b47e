"""How puzzles come onto the board: pasted in every usual form, touched, undone, of served sizes."""

import json

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.page.conftest import DRAWN, Serve, board, cell, expect_board, press, solve, solve_to_end

SUDOKU = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
ROWS = [SUDOKU[at : at + 9] for at in range(0, 81, 9)]
NUMBERS = [[int(mark) for mark in row.replace(".", "0")] for row in ROWS]
FORMS = {
    "commas and zeros": "\n".join(",".join(row.replace(".", "0")) for row in ROWS),
    "a spreadsheet": "\r\n".join("\t".join(row).replace(".", "") for row in ROWS),
    "semicolons": "\n".join(";".join(row).replace(".", "") for row in ROWS),
    "a table": "\n".join(f"| {' | '.join(row).replace('.', ' ')} |" for row in ROWS),
    "one line": SUDOKU.replace(".", "0"),
    "rows in JSON": json.dumps(ROWS),
    "numbers in JSON": json.dumps(NUMBERS),
    "nulls in JSON": json.dumps([[None if c == "." else int(c) for c in row] for row in ROWS]),
    "a body": json.dumps({"puzzle": "sudoku", "grid": SUDOKU}),
    "a link": f"look: http://elsewhere/#puzzle=sudoku&is={SUDOKU}&width=4",
    "Python": f"grid: list[list[int]] = {NUMBERS}".replace(" 0,", " None,"),
    "numpy": str(np.array(NUMBERS)),
    "C": f"int grid[9][9] = {NUMBERS};".translate(str.maketrans("[]", "{}")).replace("{9}", "[9]"),
    "full width": SUDOKU.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
    "a bank's line": f":0000:x:{SUDOKU}:::",
    "a table of puzzles and solutions": f"quizzes,solutions\n{SUDOKU.replace('.', '0')},{'1' * 81}",
}


def paste(page: Page, text: str) -> None:
    """Paste onto the page, wherever the focus is."""
    page.evaluate(
        """text => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", text);
          const event = new ClipboardEvent("paste",
            { clipboardData, bubbles: true, cancelable: true });
          (document.activeElement ?? document.body).dispatchEvent(event);
        }""",
        text,
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["Sudoku", "Queens"])
def test_a_sudoku_is_read_in_every_usual_form(page: Page, form: str, family: str) -> None:
    press(page, family)
    press(page, "Clear")
    cell(page, 4, 4).focus()
    paste(page, FORMS[form])
    expect(cell(page, 0, 0)).to_have_text("5")
    expect_board(page, SUDOKU)


@pytest.mark.parametrize(
    ("text", "family", "drawn"),
    [
        ("...Q....\n" + "........\n" * 7, "Queens", "#board .cell:has(svg)"),
        ('{"puzzle": "nqueens", "n": 8, "queens": [[0, 3]]}', "Queens", "#board .cell:has(svg)"),
        ("0001\n0000\n0000\n0000", "Sudoku", "#board .cell:not(:empty)"),
        ("P EDGE 3 1\nE 1 2\n", "Colouring", ".edge"),
        ('{"adjacency": [[0, 1], [1, 0]]}', "Colouring", ".edge"),
        ('{"vertices": 2, "edges": [[0, 1]]}', "Colouring", ".edge"),
        ("0 1\n", "Colouring", ".edge"),
        ("[(0, 1)]", "Colouring", ".edge"),
        ("graph { 0 -- 1; }", "Colouring", ".edge"),
    ],
)
def test_other_puzzles_are_read_too_whatever_is_on_the_board(
    page: Page, text: str, family: str, drawn: str
) -> None:
    press(page, "Clear")
    paste(page, text)
    expect(page.locator(drawn)).to_have_count(1)
    expect(page.get_by_role("button", name=family, exact=True, pressed=True)).to_be_visible()


@pytest.mark.parametrize(
    "text", ["hello", "", "\n".join(ROWS[:8]), SUDOKU.replace("5", "A"), "{", "." * 256]
)
def test_what_cannot_be_read_is_refused_where_it_is_seen(page: Page, text: str) -> None:
    page.get_by_label("Example").select_option("A minimal one")
    expect(cell(page, 0, 1)).to_have_text("8")
    cell(page, 0, 0).click()
    before = board(page)
    paste(page, text)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Not read: ")
    expect(alert).to_be_in_viewport()
    expect_board(page, before)
    paste(page, SUDOKU)
    expect(alert).to_be_hidden()
    expect_board(page, SUDOKU)


def test_text_that_is_wrong_is_no_longer_called_that_when_another_puzzle_is_chosen(
    page: Page,
) -> None:
    page.get_by_text("As text, to paste").click()
    page.get_by_label("The puzzle as text").fill("12")
    expect(page.locator("#text-wrong")).to_contain_text("Not read: 2 cells")
    page.get_by_label("Example").focus()
    page.get_by_label("Example").select_option("An easy one")
    expect(page.locator("#text-wrong")).to_have_text("")


def test_edits_are_undone_and_done_again(page: Page) -> None:
    page.get_by_label("Example").select_option("An easy one")
    undo = page.get_by_role("button", name="Undo")
    cell(page, 0, 2).click()
    page.keyboard.press("1")
    page.keyboard.press("2")
    press(page, "Clear")
    expect_board(page, "." * 81)
    undo.click()
    expect(cell(page, 0, 2)).to_have_text("2")
    cell(page, 0, 2).click()
    page.keyboard.press("Control+z")
    expect(cell(page, 0, 2)).to_have_text("1")
    page.keyboard.press("Control+z")
    expect(cell(page, 0, 2)).to_have_text("")
    page.keyboard.press("Control+Shift+z")
    expect(cell(page, 0, 2)).to_have_text("1")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    # Before the example stood the puzzle of the recorded run.
    expect(cell(page, 0, 0)).to_have_text("8")
    expect(undo).to_have_attribute("aria-disabled", "true")
    press(page, "Queens")
    undo.click()
    expect(page.get_by_role("button", name="Sudoku", exact=True, pressed=True)).to_be_visible()


@pytest.mark.parametrize("has_touch", [True, False])
def test_the_chosen_cell_stays_marked(browser: Browser, url: str, has_touch: bool) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=has_touch)
    page = context.new_page()
    page.goto(url)
    press(page, "Clear")
    chosen = cell(page, 3, 3)
    key = page.get_by_role("button", name="5", exact=True)
    if has_touch:
        chosen.tap()
        key.tap()
    else:
        chosen.click()
        key.click()
    expect(chosen).to_have_text("5")
    marked = """() => [...document.querySelectorAll("#board .cell")]
      .filter((cell) => getComputedStyle(cell).boxShadow !== "none")
      .map((cell) => cell.dataset.at)"""
    page.evaluate(DRAWN)
    assert page.evaluate(marked) == ["3,3"]
    cell(page, 5, 5).click()
    page.evaluate(DRAWN)
    assert page.evaluate(marked) == ["5,5"]
    context.close()


def test_the_page_opens_on_a_puzzle_that_is_served(browser: Browser, serve: Serve) -> None:
    url = serve("--model", "sudoku-4x4", "--model", "nqueens-8")
    page = browser.new_page()
    page.goto(url)
    expect(page.locator("#board .cell")).to_have_count(16)
    expect(page.get_by_text("This server has no model")).to_be_hidden()
    solve_to_end(page)
    page.close()


def test_a_size_without_a_model_is_not_sent_and_said_once(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    press(page, "Queens")
    paste(page, "..\n..")
    expect(page.get_by_text("This server has no model for nqueens-2.")).to_be_visible()
    solve = page.get_by_role("button", name="Solve", exact=True)
    expect(solve).to_have_attribute("aria-disabled", "true")
    solve.click(force=True)
    page.wait_for_timeout(300)
    assert not [address for address in sent if "solve" in address]
    expect(page.locator(".problem:visible")).to_have_count(1)


def test_smaller_graphs_are_padded_and_solved(page: Page) -> None:
    press(page, "Colouring")
    paste(page, "p edge 5 5\ne 1 2\ne 2 3\ne 3 4\ne 4 5\ne 5 1\n")
    expect(page.locator("[data-vertex]")).to_have_count(5)
    expect(page.get_by_text("This server has no model")).to_be_hidden()
    solve(page, width=4)
    expect(page.locator("#headline")).to_contain_text("distinct solution")


@pytest.mark.slow
def test_a_maze_that_the_page_makes_is_of_the_kind_that_the_weights_solve(
    context: BrowserContext,
    serve: Serve,
) -> None:
    page = context.new_page()
    page.goto(serve("--model", "maze-30x30"))
    expect(page.locator("#board .cell")).to_have_count(900)
    solved = 0
    for _ in range(3):
        page.get_by_label("Example").select_option("A new one")
        page.evaluate(DRAWN)
        walls = page.locator("#board .wall").count()
        assert 0.25 < walls / 900 < 0.5
        solve_to_end(page, width=8)
        solved += page.locator("#solutions button").count() > 0
        if solved:
            assert page.locator("#board .path").count() >= 107
    assert solved >= 2
