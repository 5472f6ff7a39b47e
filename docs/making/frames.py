"""Measures how smoothly the page plays its recorded run, in frames a second and the longest frame.

    python docs/making/frames.py http://localhost:8000 5

plays it five times at the highest speed. Needs Chromium, and nothing else to do for the machine.
"""

import shutil
import sys
from itertools import pairwise

from playwright.sync_api import Page, ViewportSize, sync_playwright

SCREEN: ViewportSize = {"width": 1280, "height": 900}
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


def measure(page: Page) -> None:
    """Play the run from its start to its end, and print what was seen."""
    page.get_by_label("Step of the run").press("Home")
    page.wait_for_selector("#trajectories[aria-busy=false]")
    times = page.evaluate(PLAYED)
    frames = [after - before for before, after in pairwise(times)]
    per_s = 1000 * len(frames) / sum(frames)
    sys.stdout.write(f"{per_s:.1f} frames/s, the longest {max(frames):.0f} ms\n")


def main() -> None:
    """Play the run as often as is asked."""
    url, times = sys.argv[1], int(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport=SCREEN, reduced_motion="reduce")
        page.goto(url)
        page.get_by_role("button", name="Play", exact=True).wait_for()
        page.get_by_label("Speed").select_option("fast")
        for _ in range(times):
            measure(page)
        browser.close()


if __name__ == "__main__":
    main()
