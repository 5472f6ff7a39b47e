"""What people do on the page: type, paste, click, solve, and watch."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.page.conftest import board, cell, expect_board, press, solve, solve_to_end

SUDOKU = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
WATCHED = """() => {
  const seen = (window.seen = []);
  const list = document.querySelector("#trajectories");
  const look = (tile) => seen.push([
    tile.getAttribute("aria-label"),
    tile.querySelector("canvas").toDataURL().length,
    document.querySelector("#results").dataset.phase,
  ]);
  // Said with every step, and with every frame that has painted boards.
  new MutationObserver(() => list.querySelectorAll(".tile").forEach(look))
    .observe(list, { attributeFilter: ["aria-busy"] });
}"""


def choose(page: Page, family: str, size: str) -> None:
    press(page, family)
    page.get_by_label("Size").select_option(size)
    press(page, "Clear")


def queens(page: Page) -> list[tuple[int, int]]:
    """Return where queens stand on the large board, by what a screen reader hears."""
    labels = page.locator("#board .cell:has(svg)").evaluate_all(
        "cells => cells.map(cell => cell.getAttribute('aria-label'))"
    )
    found = [re.match(r"row (\d+), column (\d+), queen", label) for label in labels]
    return [(int(match[1]) - 1, int(match[2]) - 1) for match in found if match]


def attack(one: tuple[int, int], other: tuple[int, int]) -> bool:
    down, right = one[0] - other[0], one[1] - other[1]
    return down == 0 or right == 0 or abs(down) == abs(right)


def test_a_sudoku_typed_by_keyboard_is_solved(page: Page) -> None:
    page.get_by_role("button", name="Clear", exact=True).press("Enter")
    cell(page, 0, 0).focus()
    for row in range(9):
        for digit in SUDOKU[9 * row : 9 * row + 9]:
            page.keyboard.press(digit)
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
    expect_board(page, SUDOKU)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#results[data-phase=done]")
    expect_board(page, SOLVED)
    expect(page.locator("#headline")).to_have_text("1 distinct solution")
    expect(page.get_by_role("status").last).to_have_text("1 distinct solution")
    expect(cell(page, 0, 0)).to_have_accessible_name("row 1, column 1, 5 given")
    expect(cell(page, 0, 2)).to_have_accessible_name("row 1, column 3, 4 found")


def test_a_pasted_sudoku_is_solved(context: BrowserContext, page: Page, url: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    drawn = "\n".join(
        " | ".join(SUDOKU[9 * row + at : 9 * row + at + 3] for at in (0, 3, 6)) for row in range(9)
    )
    press(page, "Clear")
    page.evaluate("text => navigator.clipboard.writeText(text)", drawn)
    cell(page, 4, 4).click()
    page.keyboard.press("Control+V")
    expect(cell(page, 0, 0)).to_have_text("5")
    solve_to_end(page)
    expect_board(page, SOLVED)


@pytest.mark.parametrize("blank", ["x", "-", "."])
def test_boards_of_other_programs_are_read(page: Page, blank: str) -> None:
    rows = [SUDOKU[at : at + 9].replace(".", blank) for at in range(0, 81, 9)]
    lines = ["┌───┬───┬───┐", *(f"│{row[:3]}│{row[3:6]}│{row[6:]}│" for row in rows)]
    text = "\n".join(["#A someone", "[Puzzle]", *lines, "[State]", "1" * 81])
    press(page, "Clear")
    page.locator("#text").evaluate(
        "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }", text
    )
    expect(cell(page, 0, 0)).to_have_text("5")
    expect_board(page, SUDOKU)


def test_queens_with_several_solutions_collect_votes(page: Page) -> None:
    choose(page, "Queens", "8")
    cell(page, 0, 3).click()
    solve_to_end(page, width=24, seed=5)
    cards = page.locator("#solutions button")
    assert cards.count() > 1
    found = set()
    for index in range(cards.count()):
        if cards.nth(index).get_attribute("aria-pressed") != "true":
            cards.nth(index).click()
        expect(page.locator("#shown")).to_have_text(f"Solution {index + 1}")
        standing = queens(page)
        assert len(standing) == 8
        assert (0, 3) in standing
        assert not any(attack(a, b) for a in standing for b in standing if a < b)
        found.add(tuple(standing))
    assert len(found) == cards.count()
    votes = [int(text.split()[0]) for text in page.locator(".votes").all_inner_texts()]
    assert votes == sorted(votes, reverse=True)
    verified = page.locator("#trajectories .tile.solved").count()
    assert sum(votes) == verified
    expect(page.locator("#detail")).to_contain_text(f"{verified} of 24 verified")
    assert str(verified) in str(page.locator("#chart").get_attribute("aria-label"))


def test_entries_that_clash_show_at_once_and_the_server_says_the_same(page: Page, url: str) -> None:
    choose(page, "Sudoku", "9x9")
    for row, column, digit in ((0, 0, "5"), (0, 8, "5"), (1, 1, "5"), (8, 8, "9")):
        cell(page, row, column).click()
        page.keyboard.press(digit)
    here = {"0,0", "0,8", "1,1"}
    expect_clashing(page, here)
    expect(page.locator("#clashes li")).to_have_text(
        ["5 stands 2 times in row 1", "5 stands 2 times in box 1"]
    )
    solve(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The puzzle is malformed or contradicts itself")
    expect(alert).to_contain_text("5 stands 2 times in row 1; 5 stands 2 times in box 1")
    expect_clashing(page, here)
    problem: Any = httpx.post(f"{url}/solve", content=board(page)).json()
    cells = {f"{row},{column}" for error in problem["errors"] for row, column in error["cells"]}
    assert cells == here
    cell(page, 1, 1).click()
    page.keyboard.press("Delete")
    expect(alert).to_be_hidden()
    expect_clashing(page, {"0,0", "0,8"})


def test_the_small_boards_follow_the_stream(page: Page) -> None:
    page.get_by_label("Example").select_option("A hard one")
    page.get_by_label("Width").fill("8")
    page.get_by_label("Depth").fill("192")
    page.get_by_label("Seed").fill("1")
    page.evaluate(WATCHED)
    solve_to_end(page)
    seen: list[tuple[str, int, str]] = page.evaluate("window.seen")
    live = {(label, drawing) for label, drawing, phase in seen if phase == "running"}
    steps = {int(step) for label, _ in live for step in re.findall(r"thinking, step (\d+)", label)}
    assert len(steps) > 2
    assert len({drawing for _, drawing in live}) > 2
    last = page.locator("#trajectories button").evaluate_all(
        "tiles => tiles.map(tile => tile.getAttribute('aria-label'))"
    )
    assert len(last) == 8
    assert not [label for label in last if "thinking" in label]


def test_a_puzzle_that_is_not_solved_shows_the_nearest_attempt_and_its_faults(page: Page) -> None:
    solve_to_end(page, example="A hard one", width=2, depth=1)
    expect(page.locator("#headline")).to_have_text("No solution was found")
    expect(page.locator("#shown")).to_have_text("Nearest, not a solution")
    expect(page.locator("#clashes li").first).to_contain_text("it breaks ")
    expect(page.locator("#board .cell.clash")).not_to_have_count(0)
    marks = board(page)
    wrong = clashing(page)
    for at in wrong:
        row, column = map(int, at.split(","))
        digit = marks[9 * row + column]
        peers = [
            marks[9 * r + c]
            for r in range(9)
            for c in range(9)
            if (r, c) != (row, column)
            and (r == row or c == column or (r // 3, c // 3) == (row // 3, column // 3))
        ]
        assert digit in peers
    page.get_by_role("button", name="Trajectory 1: not solved, step 1").click()
    expect(page.locator("#shown")).to_have_text("Trajectory 1")


def expect_clashing(page: Page, cells: set[str]) -> None:
    """Wait until the large board marks as many cells, and compare them."""
    expect(page.locator("#board .cell.clash")).to_have_count(len(cells))
    assert clashing(page) == cells


def clashing(page: Page) -> set[str]:
    """Return the cells that the large board marks, which also say so."""
    cells = page.locator("#board .cell.clash")
    for label in cells.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))"):
        assert label.endswith(("clashes", "attacked"))
    return set(cells.evaluate_all("all => all.map(one => one.dataset.at)"))
