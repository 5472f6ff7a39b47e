"""The documentation is built strictly, and its made pages hold what they are made of."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

import gram_client
import gram_client.cli
import gram_server.cli
from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig, Settings

ROOT = Path(__file__).parents[2]

# The whole documentation is built first, on a loaded machine in minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return folder


def text_of(page: Path) -> str:
    html = page.read_text(encoding="utf-8")
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_every_operation_and_schema_has_its_place(site: Path) -> None:
    document = create_app(Settings(), store=MemoryStore(QueueConfig())).openapi()
    text = text_of(site / "reference/http.html")
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in text
    html = (site / "reference/http.html").read_text(encoding="utf-8")
    for name in document["components"]["schemas"]:
        assert f'id="{name.lower()}"' in html


def test_every_public_name_of_the_client_is_explained(site: Path) -> None:
    html = (site / "reference/sdk.html").read_text(encoding="utf-8")
    aliases = {"Answer", "AnyEvent", "Grid", "Puzzle", "__version__"}
    named = {re.sub(r".*\.", "", found) for found in re.findall(r'id="(gram_client[\w.]*)"', html)}
    assert set(gram_client.__all__) - aliases <= named


def test_every_command_has_its_place(site: Path) -> None:
    html = (site / "reference/commands.html").read_text(encoding="utf-8")
    places = set(re.findall(r'<h[2-4] id="([\w-]+)"', html))
    for program, group in (("gram", gram_client.cli.main), ("gram-server", gram_server.cli.main)):
        shown = (name for name, command in group.commands.items() if not command.hidden)
        assert {f"{program}-{name}" for name in shown} <= places


def test_the_options_of_every_command_are_there(site: Path) -> None:
    text = text_of(site / "reference/commands.html")
    for command, option in (
        ("gram-lab train", "--resume"),
        ("gram-lab evaluate", "--paper-tables"),
        ("gram-lab data", "--seeds"),
        ("gram-lab bench engine", "--batches"),
        ("gram-server serve", "GRAM_SERVER_PORT"),
    ):
        assert command in text
        assert option in text


def test_pictures_are_pictures_that_there_are(site: Path) -> None:
    shown = {}
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        # Of a picture that leads nowhere only the words and the mark before them would be left.
        assert not re.search(r"<p>!\w", html), page.name
        for source in re.findall(r'<img[^>]+src="(?!data:)([^"]+)"', html):
            shown[page.name, source] = (page.parent / source).is_file()
    assert ("commands.html", "../pictures/terminal.svg") in shown
    assert [place for place, is_there in shown.items() if not is_there] == []


def test_no_page_asks_another_host_for_anything_but_a_link(site: Path) -> None:
    loaded = [
        (page.name, address)
        for page in site.rglob("*.html")
        for address in re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"',
            page.read_text(encoding="utf-8"),
        )
    ]
    assert loaded == []
