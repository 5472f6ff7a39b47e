"""Families that the page has no board of its own for: drawn from what the server lists."""

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, expect

from gram_core.puzzles import families
from tests.page.conftest import open_with

NAMES = {"futoshiki": "Futoshiki", "light-up": "Light up", "jigsaw": "Jigsaw"}
TASKS = [families()[name].tasks()[0] for name in NAMES]


@pytest.mark.parametrize("name", list(NAMES))
def test_a_listed_family_is_drawn_and_edited(context: BrowserContext, url: str, name: str) -> None:
    page = open_with(context, url, "maze-2x3", *TASKS)
    page.get_by_role("button", name=NAMES[name], exact=True).click()
    drawn = families()[name].example()["grid"].split("\n")
    width = max(map(len, drawn))
    signs = "".join(line.ljust(width) for line in drawn)
    cells = page.locator("#board .cell")
    expect(cells).to_have_text(["" if sign in ". " else sign for sign in signs])
    blank = signs.index(".")
    cells.nth(blank).click()
    page.keyboard.press("2")
    expect(cells.nth(blank)).to_have_text("2")
    page.keyboard.press("Backspace")
    expect(cells.nth(blank)).to_have_text("")
    page.close()


def test_a_link_to_a_listed_family_shows_its_puzzle(context: BrowserContext, url: str) -> None:
    body = {"grid": "..\n..", "regions": "ab\nab"}
    link = f"{url}/#puzzle=jigsaw&is={quote(json.dumps(body))}"
    page = open_with(context, link, "maze-2x3", *TASKS)
    expect(page.locator("#board .cell")).to_have_count(4)
    expect(page.locator("#board .edge-right")).to_have_count(2)
    page.close()
