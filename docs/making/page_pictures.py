"""Takes what the documentation shows of the page, from a running server with the shipped weights.

    python docs/making/page_pictures.py http://localhost:8000 {pictures,film,frames}

``pictures`` of solved puzzles; the ``film`` of README, with the picture that sites show beside a
link to the page, both of the recorded run; how many ``frames`` a second that run is played in, five
times at the highest speed, with nothing else to do for the machine. Needs Chromium, and the font
Inter to reproduce the pictures of the repository.
"""

import shutil
import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/pictures"
PREVIEW = ROOT / "server/gram_server/page/preview.png"
WAIT_MS = 120_000
DESKTOP, PHONE = (1440, 985), (390, 1290)
NUM_VERIFIED = 11
FILM_SCREEN, FILM_SIZE = (1280, 800), (880, 550)
FRAME_MS, LAST_MS = 280, 2500
QUALITY = 40
PREVIEW_STEP = 14
"""Some are verified by then, and others still change their minds."""
NUM_COLORS = 128
NUM_PLAYED = 5
READY = "#strip[data-state=ready]"
PAINTED = "#trajectories[aria-busy=false]"
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PLAYED = """() => new Promise((done) => {
  const times = [];
  const note = (now) => {
    times.push(now);
    if (document.querySelector("#player").dataset.playing === "true") requestAnimationFrame(note);
    else done(times);
  };
  document.querySelector("#play").click();
  requestAnimationFrame(note);
})"""


class Picture(NamedTuple):
    """One picture: the puzzle, the screen, and whether to take it during the run."""

    name: str
    screen: tuple[int, int]
    is_dark: bool
    family: str
    example: str
    width: int
    is_live: bool = False


PICTURES = (
    Picture("page-dark", DESKTOP, True, "Queens", "8x8, one queen stands", 32),
    Picture("page-graph", DESKTOP, False, "Colouring", "The Petersen graph", 32),
    Picture("page-phone-light", PHONE, False, "Queens", "8x8, one queen stands", 16),
    Picture("page-phone-dark", PHONE, True, "Sudoku", "6x6 with three solutions", 16),
    Picture("page-light", DESKTOP, False, "Sudoku", "A hard one", 32, is_live=True),
)


def pictures(browser: Browser, url: str) -> None:
    for picture in PICTURES:
        scale = 1.5 if picture.screen == PHONE else 1.25
        page = opened(browser, url, picture.screen, scale=scale, is_dark=picture.is_dark)
        page.wait_for_selector(READY)
        page.get_by_role("button", name=picture.family, exact=True).click()
        page.get_by_label("Example").select_option(picture.example)
        page.get_by_label("Width").fill(str(picture.width))
        page.get_by_label("Seed").fill("7")
        page.get_by_role("button", name="Solve", exact=True).click()
        if picture.is_live:
            # Some trajectories are verified by then, and others still run.
            page.locator(".tile.solved:not(.solution)").nth(NUM_VERIFIED - 1).wait_for()
        else:
            page.wait_for_selector("#results[data-phase=done]")
            page.wait_for_selector(PAINTED)
        page.evaluate("() => scrollTo(0, 0)")
        page.screenshot(path=FOLDER / f"{picture.name}.png")


def film(browser: Browser, url: str) -> None:
    """Save the picture that the page makes of the run, in fewer colours, and a frame a step."""
    page = opened(browser, url, FILM_SCREEN)
    page.get_by_role("button", name="Play", exact=True).wait_for()
    page.wait_for_selector(READY)
    go(page, PREVIEW_STEP - 1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a picture").click()
    with Image.open(download.value.path()) as picture:
        picture.convert("RGB").quantize(NUM_COLORS).save(PREVIEW, optimize=True)
    last = int(page.get_by_label("Step of the run").get_attribute("max") or 0)
    shown = []
    for at in range(last + 1):
        go(page, at)
        with Image.open(BytesIO(page.screenshot())) as screen:
            shown.append(screen.convert("RGB").resize(FILM_SIZE, Image.Resampling.LANCZOS))
    durations = [FRAME_MS] * last + [LAST_MS]
    shown[0].save(
        FOLDER / "page.webp", save_all=True, append_images=shown[1:], duration=durations, loop=0,
        method=4, quality=QUALITY,
    )  # fmt: skip


def go(page: Page, at: int) -> None:
    """Show the recorded run at a moment."""
    page.get_by_label("Step of the run").fill(str(at))
    page.evaluate(DRAWN)
    page.wait_for_selector(PAINTED)


def frames(browser: Browser, url: str) -> None:
    page = opened(browser, url, (1280, 900))
    page.get_by_role("button", name="Play", exact=True).wait_for()
    page.get_by_label("Speed").select_option("fast")
    for _ in range(NUM_PLAYED):
        page.get_by_label("Step of the run").press("Home")
        page.wait_for_selector(PAINTED)
        times = page.evaluate(PLAYED)
        taken = [after - before for before, after in pairwise(times)]
        per_s = 1000 * len(taken) / sum(taken)
        sys.stdout.write(f"{per_s:.1f} frames/s, the longest {max(taken):.0f} ms\n")


def opened(
    browser: Browser, url: str, screen: tuple[int, int], *, scale: float = 1, is_dark: bool = False
) -> Page:
    columns, rows = screen
    page = browser.new_page(
        viewport={"width": columns, "height": rows},
        color_scheme="dark" if is_dark else "light",
        device_scale_factor=scale,
        reduced_motion="reduce",
        has_touch=screen == PHONE,
    )
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    return page


if __name__ == "__main__":
    _, address, wanted = sys.argv
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        {"pictures": pictures, "film": film, "frames": frames}[wanted](chromium, address)
        chromium.close()
