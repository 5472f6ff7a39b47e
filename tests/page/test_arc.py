"""Tasks of ARC on the page: pasted, coloured by keyboard, and answered by candidates."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.page.conftest import cell, open_with, press, problems

TASK: dict[str, Any] = {
    "train": [{"input": [[1, 0, 2]], "output": [[1], [0], [2]]}],
    "test": [{"input": [[3, 4, 0]]}, {"input": [[5, 6]]}],
}
FIRST = {"trajectory": 1, "step": 6, "ms": 2.0}
CANDIDATES = [
    {"answer": [[3], [4], [0]], "votes": 5, "value": 0.9, "first": FIRST},
    {"answer": [[4], [3]], "votes": 1, "value": 0.2, "first": FIRST},
]


@pytest.fixture
def arc(context: BrowserContext, url: str) -> Page:
    """The page of a server that has a model for such tasks, with the task pasted."""
    page = open_with(context, url, "maze-2x3", "arc-30x30-learned")
    press(page, "ARC")
    expect(page.get_by_label("Size")).to_have_value("3x3")
    page.get_by_text("As text, to paste").click()
    page.get_by_label("Or open a file").set_input_files(
        {"name": "task.json", "mimeType": "text/plain", "buffer": json.dumps(TASK).encode()}
    )
    expect(page.get_by_role("img", name="Input 1, 1 by 3: blue black red")).to_be_visible()
    return page


def answer(page: Page, candidates: list[dict[str, Any]]) -> list[Any]:
    """Answer every request with these candidates, and return the bodies as they come."""
    bodies: list[Any] = []
    progress = {
        "step": 6,
        "live": 0,
        "solved": 0,
        "solved_at": [],
        "trajectories": [{"trajectory": 0, "step": 6, "answer": [[3], [4]], "state": "halted"}],
    }
    result = {
        "status": "answered",
        "verified": False,
        "solutions": [],
        "candidates": candidates,
        "valid_trajectories": 0,
        "usage": {"supervision_steps": 48, "engine_ms": 1500.0},
    }
    events: list[tuple[str, Any]] = [("accepted", {"width": 8, "depth": 16, "seed": 1})]
    events += [("progress", progress), ("done", result)]
    stream = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)

    def reply(route: Any) -> None:
        bodies.append(route.request.post_data_json)
        route.fulfill(content_type="text/event-stream", body=stream)

    page.route("**/solve?*", reply)
    return bodies


def test_candidates_are_shown_with_votes_and_never_as_verified(arc: Page) -> None:
    bodies = answer(arc, CANDIDATES)
    expect(arc.get_by_role("img", name="Output 1, 3 by 1: blue; black; red")).to_be_visible()
    press(arc, "Solve")
    expect(arc.locator("#headline")).to_have_text("2 candidates, not verified")
    expect(arc.get_by_role("status").last).to_have_text("2 candidates, not verified")
    shown = arc.get_by_role("grid", name="Answer, 3 by 1")
    expect(shown.get_by_role("gridcell")).to_have_count(3)
    expect(shown.get_by_role("gridcell", name="row 2, column 1, yellow")).to_be_visible()
    expect(arc.locator("#shown")).to_have_text("Candidate 1, not verified, 5 votes")
    second = (
        "Candidate 2, not verified, 1 vote, first found by trajectory 1 at step 6: yellow; green"
    )
    arc.get_by_role("button", name=second).press("Enter")
    expect(arc.get_by_role("grid", name="Answer, 2 by 1")).to_be_visible()
    expect(arc.get_by_role("button", name="Trajectory 0: answered, step 6")).to_be_visible()
    expect(arc.locator("#results .solved, #results .tile.solved")).to_have_count(0)
    expect(arc.locator("#python")).to_contain_text("result.candidates")
    assert bodies == [{"puzzle": "arc", **TASK, "test_index": 0}]
    assert problems(arc) == []


def test_a_test_grid_is_chosen_and_coloured_by_keyboard(arc: Page) -> None:
    bodies = answer(arc, [])
    arc.get_by_role("button", name="Test grid 2").press("Enter")
    board = arc.get_by_role("grid", name="Test grid, 1 by 2")
    board.get_by_role("gridcell", name="row 1, column 1, grey").focus()
    arc.keyboard.press("ArrowRight")
    arc.keyboard.press("9")
    expect(cell(arc, 0, 1)).to_have_accessible_name("row 1, column 2, maroon")
    arc.keyboard.press("Control+Enter")
    expect(arc.locator("#headline")).to_have_text("0 candidates, not verified")
    assert bodies[0]["test"][1] == {"input": [[5, 9]]}
    assert bodies[0]["test_index"] == 1


def test_what_is_no_task_is_refused(arc: Page) -> None:
    field, why = arc.get_by_label("The puzzle as text"), arc.locator("#text-wrong")
    for text, reason in (
        ("[", "a task of ARC is JSON"),
        ("{}", "a task has pairs in “train” and grids in “test”"),
        (json.dumps({**TASK, "test": [{"input": [[1], [1, 2]]}]}), "rows of one length"),
        (json.dumps({**TASK, "test": [{"input": [[10]]}]}), "of the colours 0 to 9"),
        (json.dumps({**TASK, "test_index": 2}), "“test” has no grid 2"),
    ):
        field.fill(text)
        expect(why).to_contain_text(reason)
