"""The race: one trajectory, all of them, and the same network without noise, side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import DRAWN, press, solve_to_end
from tests.page.test_screens import OUTSIDE

RECORDING = Path(__file__).parents[2] / "server/gram_server/page/recording.json"
ALONE, WITHOUT_NOISE = "One trajectory", "The same network without noise"
# How much of each lane's board is not of its most frequent colour.
INKED = """canvases => canvases.map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map();
  for (const color of new Uint32Array(data.buffer)) counts.set(color, (counts.get(color) ?? 0) + 1);
  return 1 - Math.max(...counts.values()) / (data.length / 4);
})"""
# Words that are wider than their lane.
TOO_WIDE = """lanes => lanes.flatMap((lane) => [...lane.querySelectorAll("strong, span")])
  .filter((text) => text.scrollWidth > text.clientWidth + 1).map((text) => text.innerText)"""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(RECORDING.read_text(encoding="utf-8"))
    return document


def go(page: Page, step: int) -> None:
    page.get_by_label("Step of the run").fill(str(step - 1))
    page.evaluate(DRAWN)


def lanes(page: Page) -> dict[str, str]:
    """Return what stands beside each name."""
    race = page.get_by_role("region", name="The race").get_by_role("listitem")
    texts = [text.split("\n") for text in race.all_inner_texts()]
    return {name: says.strip() for name, says in texts}


def seen(trajectory: dict[str, Any], step: int) -> str:
    """Return what is to be said of a recorded trajectory at a step."""
    length = len(trajectory["changes"]) + 1
    if step < length:
        return f"thinking, step {step}"
    is_solved = trajectory["state"] == "solved"
    return f"solved at step {length}" if is_solved else f"not solved in {length} steps"


def test_the_race_is_run_by_what_was_recorded_at_every_step(
    still: Page, recorded: dict[str, Any]
) -> None:
    solved = [
        len(trajectory["changes"]) + 1
        for trajectory in recorded["trajectories"]
        if trajectory["state"] == "solved"
    ]
    pictures = set()
    for step in (1, 2, min(solved) - 1, min(solved), min(solved) + 9, 63, 64):
        go(still, step)
        by_then = sum(one <= step for one in solved)
        said = f"solved at step {min(solved)}; {by_then} of 32 verified"
        assert lanes(still) == {
            ALONE: seen(recorded["trajectories"][0], step),
            "32 trajectories": said if by_then else f"thinking, step {step}",
            WITHOUT_NOISE: seen(recorded["noiseless"], step),
        }
        pictures.add(still.locator(".lane canvas").first.evaluate("one => one.toDataURL()"))
    assert len(pictures) > 4
    states = still.locator(".lane").evaluate_all("lanes => lanes.map((lane) => lane.classList[1])")
    assert states == [
        recorded["trajectories"][0]["state"],
        "solved",
        recorded["noiseless"]["state"],
    ]


def test_a_run_of_ones_own_is_a_race_of_one_and_all(page: Page) -> None:
    expect(page.get_by_role("region", name="The race")).to_be_visible()
    press(page, "Queens")
    expect(page.get_by_role("region", name="The race")).to_be_hidden()
    solve_to_end(page, width=8, seed=5)
    page.evaluate(DRAWN)
    said = lanes(page)
    assert list(said) == [ALONE, "8 trajectories"]
    tile = str(page.locator("#trajectories button").first.get_attribute("aria-label"))
    step = tile.rpartition(" ")[2]
    unsolved = f"gave up at step {step}" if "gave up" in tile else f"not solved in {step} steps"
    assert said[ALONE] == (f"solved at step {step}" if "verified" in tile else unsolved)
    assert said["8 trajectories"].startswith("solved at step ")
    solve_to_end(page, width=1)
    expect(page.get_by_role("region", name="The race")).to_be_hidden()


def test_the_race_is_whole_on_every_screen(still: Page) -> None:
    for width, height in ((320, 568), (390, 844), (640, 360), (1024, 700), (1280, 720)):
        still.set_viewport_size({"width": width, "height": height})
        still.evaluate(DRAWN)
        assert still.evaluate(OUTSIDE) == []
        assert still.locator(".lane").evaluate_all(TOO_WIDE) == []
        boxes = [lane.bounding_box() for lane in still.locator(".lane").all()]
        assert len(boxes) == 3
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_race_is_readable_with_forced_colours(still: Page, scheme: str) -> None:
    still.emulate_media(
        forced_colors="active",
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    go(still, 5)
    shares = still.locator(".lane canvas").evaluate_all(INKED)
    assert len(shares) == 3
    assert all(0.03 < share < 0.6 for share in shares), shares
