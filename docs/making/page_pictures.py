"""Takes the pictures of the page, from a running server with the shipped weights.

    python docs/making/page_pictures.py http://localhost:8000

Needs Chromium, and the font Inter to reproduce those of the repository.
"""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "pictures"
WAIT_MS = 120_000
DESKTOP, PHONE = (1440, 985), (390, 1290)
NUM_VERIFIED = 11


class Picture(NamedTuple):
    """One picture: the puzzle, the screen, and whether to take it during the run."""

    name: str
    screen: tuple[int, int]
    scheme: str
    family: str
    example: str
    width: int
    is_live: bool


PICTURES = (
    Picture("page-dark", DESKTOP, "dark", "Queens", "8x8, one queen stands", 32, False),
    Picture("page-graph", DESKTOP, "light", "Colouring", "The Petersen graph", 32, False),
    Picture("page-phone-light", PHONE, "light", "Queens", "8x8, one queen stands", 16, False),
    Picture("page-phone-dark", PHONE, "dark", "Sudoku", "6x6 with three solutions", 16, False),
    Picture("page-light", DESKTOP, "light", "Sudoku", "A hard one", 32, True),
)


def take(browser: Browser, url: str, picture: Picture) -> None:
    """Solve the puzzle of a picture, and save the screen."""
    columns, rows = picture.screen
    context = browser.new_context(
        viewport={"width": columns, "height": rows},
        color_scheme="dark" if picture.scheme == "dark" else "light",
        device_scale_factor=1.5 if picture.screen == PHONE else 1.25,
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#strip[data-state=ready]")
    page.get_by_role("button", name=picture.family, exact=True).click()
    page.get_by_label("Example").select_option(picture.example)
    page.get_by_label("Width").fill(str(picture.width))
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Solve", exact=True).click()
    wait(page, is_live=picture.is_live)
    page.screenshot(path=FOLDER / f"{picture.name}.png")
    context.close()


def wait(page: Page, *, is_live: bool) -> None:
    """Wait for the end or, live, until some trajectories are verified and others still run."""
    if is_live:
        page.locator(".tile.solved:not(.solution)").nth(NUM_VERIFIED - 1).wait_for()
    else:
        page.wait_for_selector("#results[data-phase=done]")
        page.wait_for_selector("#trajectories[aria-busy=false]")
    page.evaluate("() => scrollTo(0, 0)")


def main() -> None:
    """Take every picture."""
    [url] = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for picture in PICTURES:
            take(browser, url, picture)
        browser.close()


if __name__ == "__main__":
    main()
