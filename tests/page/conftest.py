"""The page in Debian's Chromium, against a real server with the shipped weights."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import torch
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from gram_core import puzzles
from gram_core.checkpoint import save_model
from gram_core.config import preset
from gram_core.model import Gram
from gram_core.puzzles import BLANK, FIRST_VALUE

START_S = 240.0
WAIT_MS = 60_000
MODELS = ("sudoku-9x9", "sudoku-4x4", "nqueens-8", "graph-coloring-8")

Serve = Callable[..., str]


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
def serve(chromium: str) -> Iterator[Serve]:
    """Start a server with flags of its own, and return its address once it is ready."""
    processes: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> str:
        command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0"]
        command += ["--num-threads", "1", *flags]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return _address(process)

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20.0)


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


def _address(process: "subprocess.Popen[str]") -> str:
    """Wait until a server listens and is ready."""
    address: list[str] = []
    is_listening = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        with process.stderr as log:
            for line in log:
                if "listening on http" in line:
                    address.append("http" + line.split("listening on http")[1].split('"')[0])
                    is_listening.set()

    threading.Thread(target=read, daemon=True).start()
    assert is_listening.wait(START_S)
    end_s = time.monotonic() + START_S
    while httpx.get(f"{address[0]}/readyz").status_code != 200:
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.1)
    return address[0].strip()
