"""The interface at ``/docs`` in a browser, which may load nothing from anywhere else."""

import os
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.page.conftest import solve_to_end
from tests.processes import running, wait_until_ready

WAIT_MS = 60_000


def open_docs(browser: Browser, url: str) -> None:
    """Open the interface below an address, and try an operation out."""
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.goto(f"{url}/docs")
    page.get_by_text("Solve a puzzle").wait_for(timeout=WAIT_MS)
    page.locator("#operations-solve-solve").get_by_role("button").first.click()
    page.get_by_role("button", name="Try it out").click(timeout=WAIT_MS)
    execute = page.get_by_role("button", name="Execute")
    execute.wait_for(timeout=WAIT_MS)
    assert [words for words in said if words.startswith(("error", "warning"))] == []
    with page.expect_response(lambda response: "/solve" in response.url) as answer:
        execute.click()
    assert answer.value.url.startswith(f"{url}/solve")
    assert answer.value.status == 200
    page.close()
    assert f"{url}/openapi.json" in asked
    assert {address for address in asked if not address.startswith(f"{url}/")} == set()


def test_the_docs_show_every_route_and_ask_nobody_else(browser: Browser, url: str) -> None:
    open_docs(browser, url)


def test_page_and_docs_stay_below_the_path_of_a_proxy(
    browser: Browser, chromium: str, tmp_path: Path
) -> None:
    environ = {**os.environ, "GRAM_SERVER_ROOT_PATH": "/gram"}
    flags = ("--port", "0", "--model", "sudoku-9x9", "--model", "sudoku-4x4")
    with running(tmp_path / "log", "serve", *flags, environ=environ) as serving:
        url = f"{serving.url()}/gram"
        wait_until_ready(serving.url())
        open_docs(browser, url)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/")
        expect(page.get_by_text("This run was recorded.")).to_be_visible()
        solve_to_end(page, width=2, depth=2)
        page.get_by_role("link", name="API").click()
        page.get_by_text("Solve a puzzle").wait_for(timeout=WAIT_MS)
        page.close()
        assert {address for address in asked if not address.startswith(f"{url}/")} == set()
