"""What can be taken along: links, commands and programs; and a server that wants keys."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import BrowserContext, Page, expect

from gram_server.cli import main

SETUP = "puzzle=nqueens&is=...Q..../......../......../......../......../......../......../........"
MAZE = [".S.", "..G"]


@pytest.fixture
def solved(page: Page, url: str) -> Page:
    """The page after a run that shows several solutions."""
    page.goto(f"{url}/#{SETUP}&width=6&depth=24&augment=false")
    page.get_by_role("button", name="Solve").click()
    page.wait_for_selector("#results[data-phase=done]")
    return page


def votes(page: Page) -> list[int]:
    return [int(text.split()[0]) for text in page.locator(".votes").all_inner_texts()]


def test_a_link_brings_back_the_puzzle_the_controls_and_the_run(
    solved: Page, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    solved.get_by_role("button", name="Copy a link").click()
    expect(solved.get_by_role("button", name="Copied")).to_be_visible()
    link = solved.evaluate("() => navigator.clipboard.readText()")
    other = context.new_page()
    other.goto(link)
    expect(other.locator('[data-at="0,3"]')).to_have_accessible_name("row 1, column 4, queen given")
    assert other.get_by_label("Width").input_value() == "6"
    assert other.get_by_label("Depth").input_value() == "24"
    assert not other.get_by_label("Augment").is_checked()
    other.get_by_role("button", name="Solve").click()
    other.wait_for_selector("#results[data-phase=done]")
    assert votes(other) == votes(solved) != []
    pictures = "() => [...document.querySelectorAll('#solutions canvas')].map(c => c.toDataURL())"
    assert sorted(other.evaluate(pictures)) == sorted(solved.evaluate(pictures))


@pytest.mark.parametrize("fragment", ["#", "#is=12", "#puzzle=none&is=x", "#puzzle=nqueens&is=Q."])
def test_a_link_that_says_nothing_shows_an_example(page: Page, url: str, fragment: str) -> None:
    page.goto("about:blank")
    page.goto(f"{url}/{fragment}")
    expect(page.locator('[data-at="0,0"]')).to_have_text("5")


def test_a_changed_address_changes_the_page(page: Page) -> None:
    page.evaluate("() => { location.hash = 'puzzle=sudoku&is=1...............&width=3'; }")
    expect(page.locator("#board .cell")).to_have_count(16)
    assert page.get_by_label("Width").input_value() == "3"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_curl_command_gives_what_is_on_screen(solved: Page) -> None:
    command = str(solved.locator("#curl").text_content())
    ran = subprocess.run(
        ["bash", "-c", f"{command} --silent"], capture_output=True, text=True, timeout=60
    )
    answer = json.loads(ran.stdout)
    assert [solution["votes"] for solution in answer["solutions"]] == votes(solved)
    assert (answer["width"], answer["depth"]) == (6, 24)


def test_the_python_program_gives_what_is_on_screen_and_the_strip_counts_it(solved: Page) -> None:
    program = str(solved.locator("#python").text_content())
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    assert [int(count) for count, _ in lines] == votes(solved)
    assert all(len(ast.literal_eval(answer)) == 8 for _, answer in lines)
    strip = solved.get_by_role("group", name="State of the server")
    expect(strip).to_contain_text("ready")
    expect(strip.locator("#strip-queue")).to_have_text("0 waiting")
    expect(strip.locator("#strip-p95")).to_have_text(re.compile(r"p95 [\d.]+ m?s"))


def test_a_run_can_be_stopped_and_the_next_one_started(page: Page) -> None:
    page.get_by_label("Example").select_option("A hard one")
    page.get_by_label("Width").fill("64")
    page.get_by_role("button", name="Solve").click()
    page.wait_for_selector(".tile.running")
    page.keyboard.press("Escape")
    expect(page.locator("#headline")).to_contain_text("Stopped")
    page.get_by_label("Example").select_option("An easy one")
    page.get_by_label("Width").fill("2")
    page.get_by_role("button", name="Solve").click()
    expect(page.locator("#headline")).to_have_text("1 distinct solution")


@pytest.fixture(scope="module")
def guarded(
    serve: Callable[..., str], maze_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A server that wants keys and has a model for small mazes; and a key to solve with."""
    made = CliRunner().invoke(main, ["key", "visitor", "--scope", "solve"])
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(json.dumps({"keys": [json.loads(made.stdout)]}))
    return serve("--keys", str(path), "--model", str(maze_model)), made.stderr.split()[-1]


def test_a_server_that_wants_a_key_is_given_one_and_a_maze_to_solve(
    guarded: tuple[str, str], context: BrowserContext
) -> None:
    url, key = guarded
    page = context.new_page()
    page.goto(url)
    field = page.get_by_label("This server wants an API key")
    expect(field).to_be_visible()
    expect(page.locator("#strip-state")).to_have_text("ready, metrics need an admin key")
    field.fill("wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#key-why")).to_have_text("the key is not known")
    field.fill(key)
    page.get_by_role("button", name="Use it").click()
    expect(field).to_be_hidden()
    page.get_by_role("button", name="Maze", exact=True).click()
    page.get_by_role("button", name="Clear", exact=True).click()
    paint(page)
    page.get_by_label("Width").fill("32")
    page.get_by_label("Seed").fill("3")
    page.get_by_role("button", name="Solve").click()
    page.wait_for_selector("#results[data-phase=done]")
    expect(page.locator("#headline")).to_have_text("2 distinct solutions")
    assert page.locator("#board .cell.path").count() == 1
    assert page.evaluate("() => [...Object.values(localStorage)].join()").find(key) < 0
    expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $GRAM_API_KEY"')
    assert key not in page.content()


def paint(page: Page) -> None:
    """Draw the maze of MAZE with the tools below the board, walled off at first."""
    cells = page.locator("#board .cell")
    boxes = [cells.nth(at).bounding_box() for at in range(6)]
    page.get_by_role("button", name="Wall").click()
    for at, act in ((1, page.mouse.down), (4, page.mouse.up)):
        box = boxes[at]
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        act()
    expect(page.locator("#board .wall")).to_have_count(2)
    page.get_by_role("button", name="Solve").click()
    expect(page.get_by_role("alert")).to_contain_text("walls lie between start and goal")
    expect(page.locator("#board .clash")).to_have_count(2)
    for tool, at in (("Free", 4), ("Start", 1)):
        page.get_by_role("button", name=tool).click()
        cells.nth(at).click()
    page.locator("summary").click()
    assert page.get_by_label("The puzzle as text").input_value().split("\n") == MAZE
