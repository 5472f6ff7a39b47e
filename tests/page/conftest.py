"""The page in Debian's Chromium, against a real server with the shipped weights."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

from gram_core import puzzles
from gram_core.checkpoint import save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_core.puzzles import BLANK, FIRST_VALUE
from tests.processes import running, wait_until_ready

# Of the 5 s that are the default, a busy machine may need more.
expect.set_options(timeout=20_000)
DRAWN = """() => new Promise((done) => {
  const look = () => {
    if (document.querySelector("#trajectories[aria-busy=true]")) requestAnimationFrame(look);
    else done();
  };
  requestAnimationFrame(() => requestAnimationFrame(look));
})"""
"""Ends once what was changed before is drawn, the boards of trajectories too."""

WAIT_MS = 60_000
MODELS = ("sudoku-9x9", "sudoku-4x4", "nqueens-8", "graph-coloring-8")

Serve = Callable[..., str]


def board(page: Page) -> str:
    """Return the marks of the large board, row by row; a dot for an empty cell."""
    return "".join(text or "." for text in page.locator("#board .cell").all_inner_texts())


def expect_board(page: Page, marks: str) -> None:
    """Wait until the large board has these marks: it is drawn a frame after it has changed."""
    texts = ["" if mark == "." else mark for mark in marks]
    expect(page.locator("#board .cell")).to_have_text(texts)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def solve(page: Page, *, example: str | None = None, **controls: int) -> None:
    """Choose an example and fill in controls, such as ``width=8``; then press Solve."""
    if example is not None:
        page.get_by_label("Example").select_option(example)
    for name, value in controls.items():
        page.get_by_label(name.capitalize()).fill(str(value))
    press(page, "Solve")


def solve_to_end(page: Page, *, example: str | None = None, **controls: int) -> None:
    solve(page, example=example, **controls)
    page.wait_for_selector("#results[data-phase=done]")


def cell(page: Page, row: int, column: int) -> Locator:
    return page.locator(f'[data-at="{row},{column}"]')


def problems(page: Page) -> list[str]:
    """Return what axe finds wrong, of every weight."""
    page.evaluate(DRAWN)
    return [
        f"{violation['impact']} {violation['id']}: {node['html'][:120]}"
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("page")


@pytest.fixture(scope="session")
def chromium() -> str:
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("there is no chromium on this machine: install it to run this test")
    return binary


@pytest.fixture(scope="session")
def serve(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start a server with flags of its own, and return its address once it is ready."""
    with ExitStack() as stack:

        def start(*flags: str) -> str:
            log = tmp_path_factory.mktemp("page") / "log"
            serving = running(log, "serve", "--port", "0", "--num-threads", "1", *flags)
            url = stack.enter_context(serving).url()
            wait_until_ready(url)
            return url

        yield start


@pytest.fixture(scope="session")
def url(serve: Serve) -> str:
    """One server with shipped weights for every test that leaves it as it was."""
    return serve(*(flag for name in MODELS for flag in ("--model", name)))


@pytest.fixture(scope="session")
def maze_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for mazes of 2x3 that says of each cell by chance whether the path takes it."""
    torch.manual_seed(0)
    task = puzzles.task("maze-2x3")
    config = replace(preset("tiny", task), sigma_init=0.9, initial_state="random")
    model = Gram(config, task.units).requires_grad_(False)
    direction = torch.randn_like(model.decoder.weight[0])
    model.decoder.weight.zero_()
    model.decoder.weight[BLANK], model.decoder.weight[FIRST_VALUE] = direction, -direction
    path = tmp_path_factory.mktemp("weights") / task.name
    save_model(path, model, name=task.name, task=task, depth=16, dtype=torch.float32)
    return path


# Not for the whole session: while Playwright runs, no test can have an event loop of its own.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, url: str) -> Iterator[Page]:
    """The page as it opens; nothing it does may fail or leave the server."""
    page = context.new_page()
    errors: list[str] = []
    requested: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(url)
    yield page
    assert errors == []
    assert [address for address in requested if not address.startswith(f"{url}/")] == []


@pytest.fixture
def still(context: BrowserContext, url: str) -> Page:
    """The recorded run, which stands where it is put."""
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")
    page.goto(url)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    return page


def open_with(context: BrowserContext, url: str, *tasks: str) -> Page:
    """Open the page as if the server had models for these tasks too."""
    page = context.new_page()
    more = [{"task": task, "purpose": "solve"} for task in tasks]

    def add(route: Route) -> None:
        models = route.fetch().json()["models"]
        route.fulfill(json={"models": [*models, *more]})

    page.route("**/models", add)
    page.goto(url)
    page.get_by_role("button", name="Maze", exact=True).wait_for()
    return page
