"""The snippets of the README files and of the site, run as they stand against a real server."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Running, wait_until_ready
from tests.server.e2e.conftest import Server, Start

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/index.md", "docs/api.md", "clients/python/README.md")
MODELS = ("sudoku-9x9", "sudoku-9x9-generate", "nqueens-8", "graph-coloring-8")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def snippets(page: str) -> list[tuple[str, str]]:
    """Return language and text of every block that does something."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|bash|)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [
        (language, block)
        for language, block in blocks
        if language == "python" or block.startswith(("curl ", "gram "))
    ]


CASES = [
    pytest.param(language, block, id=f"{page}-{number}")
    for page in PAGES
    for number, (language, block) in enumerate(snippets(page))
]


@pytest.fixture(scope="module")
def quickstart(start_server: Start) -> Any:
    return start_server(*(flag for name in MODELS for flag in ("--model", name)))


@pytest.mark.parametrize(("language", "block"), CASES)
def test_a_snippet_runs_as_it_stands(quickstart: Server, language: str, block: str) -> None:
    address = quickstart.url.removeprefix("http://")
    code = re.sub(r"(localhost|127\.0\.0\.1):8000", address, block)
    environment = {**os.environ, "GRAM_BASE_URL": quickstart.url}
    if language == "python":
        command = [sys.executable, "-c", code]
    else:
        script = f'set -e; gram() {{ "{sys.executable}" -m gram_client.cli "$@"; }}\n'
        code = re.sub(r"^curl ", "curl --fail-with-body -sS ", code, flags=re.MULTILINE)
        command = ["bash", "-c", script + code]
    run = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout
    assert run.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_there_are_snippets_of_every_kind() -> None:
    kinds = {(language, block.split()[0]) for page in PAGES for language, block in snippets(page)}
    assert {("bash", "curl"), ("bash", "gram")} <= kinds
    assert {language for language, _ in kinds} == {"python", "bash", ""}


def test_gram_solves_without_a_server_where_one_is_installed() -> None:
    command = [sys.executable, "-m", "gram_client.cli", "solve", "12.4341221434321", "--local"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert '"answer": "1234341221434321"' in run.stdout
    assert "starting the shipped models" in run.stderr


def test_make_serve_starts_what_it_installed(tmp_path: Path) -> None:
    """All but the installation, which the environment of the tests has behind it."""
    stamp = f"{sys.prefix}/.installed"
    command = ["make", "--old-file", stamp, "serve", f"VENV={sys.prefix}", "PORT=0"]
    output = tmp_path / "log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*command, "ARGS=--model sudoku-4x4 --num-threads 1"], cwd=ROOT, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        url = Running(process, output).url()
        wait_until_ready(url)
        answer = httpx.post(f"{url}/solve", content="1...............", timeout=60.0)
        assert answer.json()["status"] == "solved"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_new_shell_has_what_the_page_uses_after_what_the_page_says(
    page: str, tmp_path: Path
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    activate = ". .venv/bin/activate"
    assert activate in text[: text.index("from gram_client import")]
    (tmp_path / ".venv").symlink_to(sys.prefix)
    wanted = "gram --version && python -c 'from gram_client import Client'"
    for begin, is_there in ((activate, True), ("true", False)):
        # As a new terminal has it: no environment of the tests.
        shell = ["env", "-i", "PATH=/usr/bin:/bin", "bash", "--noprofile", "--norc", "-c"]
        command = [*shell, f"{begin} && {wanted}"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (run.returncode == 0) == is_there, run.stderr
