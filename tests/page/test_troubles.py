"""What people see when the server goes, is busy or refuses: said once, true, and taken back."""

import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.page.conftest import DRAWN, open_with, press, solve, solve_to_end
from tests.processes import running, wait_until_ready

SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
NUM_COLORS = """canvas => new Set(new Uint32Array(canvas.getContext("2d")
  .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
DENIED = """for (const name of ["localStorage", "sessionStorage"]) {
  const get = () => { throw new DOMException("Access is denied.", "SecurityError"); };
  Object.defineProperty(window, name, { get, configurable: true });
}"""
NOT_READY = {
    "title": "The server is not ready",
    "detail": "no worker is ready yet",
    "status": 503,
}


def event(kind: str, **data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def accepted(width: int) -> str:
    return event("accepted", id="a", seed=1, model="m", width=width, depth=16)


def answer_with(page: Page, *events: str) -> None:
    """Let the next request to solve be answered with a stream of these events."""
    page.route(
        "**/solve?*",
        lambda route: route.fulfill(
            headers={"Content-Type": "text/event-stream"}, body="".join(events)
        ),
    )


def result(**fields: object) -> dict[str, Any]:
    """Return the answer of a run, unsolved where the fields do not say otherwise."""
    unsolved: dict[str, Any] = {
        "status": "unsolved",
        "solutions": [],
        "valid_trajectories": 0,
        "completeness": {"method": None, "estimate": None, "total": None},
        "usage": {"supervision_steps": 9, "engine_ms": 10.0},
        "best_attempt": None,
        "unsolvable": None,
    }
    return {**unsolved, **fields}


def test_a_server_that_is_killed_takes_back_nothing_that_was_found(
    context: BrowserContext, chromium: str, tmp_path: Path
) -> None:
    is_seen = False
    with (
        # A process that is killed does not end with status 0.
        suppress(AssertionError),
        running(tmp_path / "log", "serve", "--port", "0", "--model", "sudoku-9x9") as serving,
    ):
        page = context.new_page()
        url = serving.url()
        wait_until_ready(url)
        page.goto(url)
        solve(page, example="A hard one", width=1024)
        page.wait_for_selector(".tile.solved")
        serving.process.send_signal(signal.SIGKILL)
        expect(page.locator("#headline")).to_contain_text(
            "Connection lost: 1 solution found before"
        )
        expect(page.locator("#headline")).to_contain_text(" of 1024 verified")
        expect(page.locator(".tile.running")).to_have_count(0)
        expect(page.locator(".tile.solved").first).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.get_by_role("button", name="Solve", exact=True)).to_be_visible()
        assert "." not in "".join(
            text or "." for text in page.locator("#board .cell").all_inner_texts()
        )
        is_seen = True
    assert is_seen


def test_nothing_looks_as_if_it_ran_when_nothing_runs(page: Page) -> None:
    sights = [{"trajectory": 0, "step": 3, "state": "running", "answer": "1" * 81}]
    progress = event("progress", step=3, live=1, solved=0, solved_at=[], trajectories=sights)
    answer_with(page, accepted(4), progress, event("done", **result()))
    page.get_by_label("Example").select_option("An easy one")
    expect(page.locator("#headline")).to_contain_text("ready to think")
    solve(page)
    expect(page.locator("#headline")).to_have_text("No solution was found")
    expect(page.get_by_role("button", name="Trajectory 0: stopped, step 3")).to_be_visible()
    expect(page.locator(".tile.running")).to_have_count(0)
    # Those that never began show the puzzle, and not an empty board.
    waiting = page.locator(".tile.waiting canvas")
    expect(waiting).to_have_count(3)
    page.evaluate(DRAWN)
    for canvas in waiting.all():
        assert canvas.evaluate(NUM_COLORS) > 2


def test_a_browser_that_blocks_cookies_has_the_whole_page(
    context: BrowserContext, page: Page, url: str
) -> None:
    """Such a browser denies the page both of its storages."""
    context.add_init_script(DENIED)
    page.goto(url)
    expect(page.locator("#strip-state")).to_have_text("ready")
    page.get_by_role("button", name="Dark theme").click()
    page.get_by_label("Example").select_option("An easy one")
    page.get_by_label("Width").fill("2")
    page.get_by_role("button", name="Solve", exact=True).click()
    expect(page.locator("#headline")).to_have_text("1 distinct solution")


def test_a_double_click_does_not_stop_what_it_began(page: Page) -> None:
    page.get_by_label("Example").select_option("An easy one")
    page.get_by_label("Width").fill("4")
    page.locator("#solve").dblclick()
    expect(page.locator("#headline")).to_have_text("1 distinct solution")
    page.get_by_label("Example").select_option("A hard one")
    page.get_by_label("Width").fill("512")
    page.locator("#solve").click()
    page.wait_for_selector(".tile.running")
    page.wait_for_timeout(600)
    page.locator("#solve").click()
    expect(page.locator("#headline")).to_contain_text("Stopped")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(page: Page, status: int) -> None:
    asked: list[str] = []

    def refuse_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        problem = json.dumps({**NOT_READY, "status": status})
        headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
        route.fulfill(status=status, headers=headers, body=problem)

    page.route("**/solve?*", refuse_once)
    solve(page, example="An easy one", width=2)
    expect(page.locator("#headline")).to_contain_text("Trying again in 2 s: no worker is ready yet")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#headline")).to_have_text("1 distinct solution")
    assert len(asked) == 2


def test_waiting_for_a_busy_server_can_be_stopped(page: Page) -> None:
    page.route(
        "**/solve?*",
        lambda route: route.fulfill(
            status=503, headers={"Retry-After": "60"}, body=json.dumps(NOT_READY)
        ),
    )
    solve(page)
    expect(page.locator("#headline")).to_contain_text("Trying again in ")
    page.keyboard.press("Escape")
    expect(page.locator("#headline")).to_contain_text("Stopped")
    page.wait_for_timeout(1500)
    expect(page.locator("#headline")).to_contain_text("Stopped")


def test_that_the_server_was_away_is_taken_back_when_it_is_there(
    context: BrowserContext, page: Page
) -> None:
    context.set_offline(True)
    solve(page)
    expect(page.get_by_role("alert")).to_contain_text("the server cannot be reached")
    context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#headline")).to_contain_text("ready to think")
    solve_to_end(page, width=2)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_is_refused_is_said_once(page: Page) -> None:
    page.get_by_label("Example").select_option("An impossible one")
    expect(page.locator("#clashes li")).not_to_have_count(0)
    solve(page)
    expect(page.get_by_role("alert")).to_contain_text("5 stands 2 times in row 1")
    expect(page.locator("#clashes li")).to_have_count(0)
    assert page.locator("main").inner_text().count("5 stands 2 times in row 1") == 1


def test_numbers_that_no_run_can_have_are_not_run_by_keys_either(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.get_by_label("Example").select_option("An easy one")
    for name, value in (("Width", "5000"), ("Depth", "0"), ("Seed", "-1")):
        field = page.get_by_label(name)
        usual = field.input_value()
        field.fill(value)
        page.locator("#solve").focus()
        page.keyboard.press("Control+Enter")
        expect(field).to_be_focused()
        field.fill(usual)
    assert not [address for address in sent if "/solve" in address]
    page.get_by_label("Width").fill("2")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#headline")).to_have_text("1 distinct solution")


@pytest.mark.parametrize(
    ("estimate", "said"),
    [(1.0, "under 1 %"), (0.997, "under 1 %"), (0.95, "5 %"), (0, "over 99 %")],
)
def test_an_estimate_is_never_certain(page: Page, estimate: float, said: str) -> None:
    first = {"trajectory": 0, "step": 2, "ms": 1.0}
    answers = [SOLVED, SOLVED.replace("1", "x").replace("2", "1").replace("x", "2")]
    solutions = [
        {"answer": answer, "votes": 9, "source": "model", "first": first} for answer in answers
    ]
    answer = result(
        status="solved",
        solutions=solutions,
        valid_trajectories=18,
        completeness={"method": "good_turing", "estimate": estimate, "total": None},
    )
    page.get_by_label("Size").select_option("9x9")
    answer_with(page, accepted(18), event("done", **answer))
    solve(page)
    expect(page.locator("#detail")).to_contain_text(f"new with a chance of {said}")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["gap", "branch"], ["the path has a gap", "the path branches"]),
        (["gap", "gap"], ["the path has gaps in 2 places"]),
        (
            ["longer than shortest: 184 moves instead of 140"],
            ["the path takes 184 moves, the shortest 140"],
        ),
        (["closed loop", "given"], ["some of it is a closed loop", "a given cell is changed"]),
    ],
)
def test_what_is_wrong_with_a_path_is_said_in_sentences(
    context: BrowserContext, url: str, rules: Sequence[str], said: Sequence[str]
) -> None:
    page = open_with(context, url, "maze-30x30")
    press(page, "Maze")
    violations = [{"rule": rule, "cells": [[0, 0]]} for rule in rules]
    attempt = {"answer": [[0, 0]], "violations": violations}
    answer_with(page, accepted(4), event("done", **result(best_attempt=attempt)))
    solve(page)
    expect(page.locator("#clashes li")).to_have_text(said)
