"""Makes the moving picture of README, and the picture that sites show beside a link to the page.

    python docs/making/page_film.py http://localhost:8000

Both show the recorded run, as the page draws it. Needs Chromium, and the font Inter to reproduce
those of the repository.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[2]
FILM = ROOT / "docs/pictures/page.webp"
PREVIEW = ROOT / "server/gram_server/page/preview.png"
WIDTH, HEIGHT = 1280, 800
SIZE = (880, 550)
FRAME_MS, LAST_MS = 280, 2500
QUALITY = 40
PREVIEW_STEP = 14
"""Some are verified by then, and others still change their minds."""
NUM_COLORS = 128
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PAINTED = "#trajectories[aria-busy=false]"


def go(page: Page, at: int) -> None:
    """Show the run at a moment."""
    page.get_by_label("Step of the run").fill(str(at))
    page.evaluate(DRAWN)
    page.wait_for_selector(PAINTED)


def film(page: Page) -> None:
    """Save the run, a frame for each step."""
    last = int(page.get_by_label("Step of the run").get_attribute("max") or 0)
    frames = []
    for at in range(last + 1):
        go(page, at)
        with Image.open(BytesIO(page.screenshot())) as screen:
            frames.append(screen.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS))
    durations = [FRAME_MS] * last + [LAST_MS]
    frames[0].save(
        FILM, save_all=True, append_images=frames[1:], duration=durations, loop=0, method=4,
        quality=QUALITY,
    )  # fmt: skip


def preview(page: Page) -> None:
    """Save the picture that the page makes of the run, in fewer colours."""
    go(page, PREVIEW_STEP - 1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a picture").click()
    with Image.open(download.value.path()) as picture:
        picture.convert("RGB").quantize(NUM_COLORS).save(PREVIEW, optimize=True)


def main() -> None:
    """Make both."""
    [url] = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        screen: ViewportSize = {"width": WIDTH, "height": HEIGHT}
        page = browser.new_page(viewport=screen, reduced_motion="reduce")
        page.goto(url)
        page.get_by_role("button", name="Play", exact=True).wait_for()
        page.wait_for_selector("#strip[data-state=ready]")
        preview(page)
        film(page)
        browser.close()


if __name__ == "__main__":
    main()
