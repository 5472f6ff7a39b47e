"""How boards are painted while the page moves: some in a frame, the newest, and all in the end."""

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.page.conftest import DRAWN

NUM_BOARDS = 32
PAINT_MS = 4
TILES = '<body><ol id="trajectories"></ol><p id="trajectories-rest"></p>'
# Shows steps, each after as many frames as are listed with it, then draws frames until none is
# wanted. Time passes only while a board is painted. Returns what each frame painted.
SHOWN = """async ({ numBoards, paintMs, steps }) => {
  const { Trajectories } = await import("/page/trajectories.js");
  let nowMs = 0;
  let asked = [];
  performance.now = () => nowMs;
  window.requestAnimationFrame = (callback) => asked.push(callback);
  let painted = [];
  const family = {
    name: "counted",
    paint: (canvas, side, colors, instance, answer) => {
      nowMs += paintMs;
      painted.push(answer);
    },
  };
  const list = document.querySelector("#trajectories");
  const frames = [];
  const frame = () => {
    const isBusy = list.getAttribute("aria-busy") === "true";
    for (const callback of asked.splice(0)) callback(nowMs);
    frames.push({ isBusy, painted });
    painted = [];
  };
  const run = { family, instance: null, width: numBoards, isLive: true, trajectories: new Map() };
  const tiles = new Trajectories(run, () => {});
  for (const { step, framesBefore } of steps) {
    for (let at = 0; at < framesBefore; at += 1) frame();
    for (let at = 0; at < numBoards; at += 1) {
      const answer = `${at} at ${step}`;
      run.trajectories.set(at, { step, state: "running", answer, before: null });
    }
    tiles.show(run, false, null);
  }
  while (asked.length) frame();
  return { frames, isBusy: list.getAttribute("aria-busy"), labels: list.innerHTML };
}"""
PICTURES = """() => [...document.querySelectorAll("#trajectories canvas")]
  .map((canvas) => canvas.toDataURL())"""


@pytest.fixture
def tiles(context: BrowserContext, url: str) -> Page:
    """A page that has nothing but the trajectories."""
    page = context.new_page()
    page.route("**/tiles", lambda route: route.fulfill(content_type="text/html", body=TILES))
    page.goto(f"{url}/tiles")
    return page


def shown(page: Page, paint_ms: float, *steps: tuple[int, int]) -> dict[str, Any]:
    """Show steps, each with the number of frames before it, on a machine of that speed."""
    told = [{"step": step, "framesBefore": frames} for step, frames in steps]
    answer: dict[str, Any] = page.evaluate(
        SHOWN, {"numBoards": NUM_BOARDS, "paintMs": paint_ms, "steps": told}
    )
    return answer


@pytest.mark.parametrize(("paint_ms", "most"), [(0, 32), (0.5, 8), (1, 4), (3, 2), (50, 1)])
def test_a_frame_paints_no_more_boards_than_it_has_time_for(
    tiles: Page, paint_ms: float, most: int
) -> None:
    seen = shown(tiles, paint_ms, (1, 0))
    counts = [len(frame["painted"]) for frame in seen["frames"]]
    assert max(counts) == most
    assert len(counts) == NUM_BOARDS / most
    painted = [answer for frame in seen["frames"] for answer in frame["painted"]]
    assert painted == [f"{at} at 1" for at in range(NUM_BOARDS)]
    assert all(frame["isBusy"] for frame in seen["frames"])
    assert seen["isBusy"] == "false"


def test_the_newest_step_is_painted_and_first_where_a_board_waits_longest(tiles: Page) -> None:
    seen = shown(tiles, PAINT_MS / 8, (1, 0), (2, 1), (3, 1), (4, 1))
    counts = [len(frame["painted"]) for frame in seen["frames"]]
    # Steps that come faster than boards can be painted cost no frame more.
    assert max(counts) == 8
    painted = [answer.split(" at ") for frame in seen["frames"] for answer in frame["painted"]]
    order = [int(index) for index, _ in painted[:NUM_BOARDS]]
    assert order == list(range(NUM_BOARDS))
    assert [int(step) for _, step in painted[:NUM_BOARDS:8]] == [1, 2, 3, 4]
    last = dict(painted)
    assert set(last.values()) == {"4"}
    assert len(last) == NUM_BOARDS
    # The words of all are there with the step, whatever is painted.
    assert len(re.findall("thinking, step 4", seen["labels"])) == NUM_BOARDS
    assert seen["isBusy"] == "false"


def test_a_run_that_was_played_leaves_the_boards_as_if_painted_at_once(page: Page) -> None:
    page.get_by_label("Speed").select_option("fast")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=60_000)
    page.evaluate(DRAWN)
    played = page.evaluate(PICTURES)
    page.evaluate("() => dispatchEvent(new Event('resize'))")
    page.evaluate(DRAWN)
    assert page.evaluate(PICTURES) == played
    page.get_by_label("Step of the run").press("Home")
    page.evaluate(DRAWN)
    first = page.evaluate(PICTURES)
    assert len(first) == NUM_BOARDS
    assert all(one != other for one, other in zip(first, played, strict=True))
