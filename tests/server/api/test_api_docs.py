"""The interface at ``/docs``, and every reference to ourselves, under a path that a proxy chose."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from gram_server.api.page import HEADERS
from gram_server.errors import ConfigError
from gram_server.settings import HttpConfig
from tests.server.api.conftest import Service, opened

pytestmark = pytest.mark.anyio

EASY = ".234341221434321"


@pytest.mark.slow
async def test_the_docs_load_nothing_from_elsewhere(service: Service) -> None:
    index = await service.client.get("/docs")
    names = re.findall(r'(?:href|src)="([^"]+)"', index.text)
    assert len(names) >= 4
    for name in names:
        assert "//" not in name
        assert not name.startswith("/")
        response = await service.client.get(urljoin("/docs", name))
        assert response.status_code == 200, name
    for path in ("/docs", "/docs/docs.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"):
        response = await service.client.get(path)
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
    style = (await service.client.get("/docs/swagger-ui.css")).text
    pictures = set(re.findall(r"url\(([^)]+)\)", style))
    assert pictures
    for name in pictures:
        assert (await service.client.get(f"/docs/{name}")).status_code == 200, name


@pytest.mark.parametrize("path", ["/redoc", "/docs/nothing", "/docs/index.htm"])
async def test_there_are_no_other_docs(service: Service, path: str) -> None:
    assert (await service.client.get(path)).status_code == 404


@asynccontextmanager
async def open_below(root_path: str, *, is_stripped: bool) -> AsyncIterator[httpx.AsyncClient]:
    """Open a server behind a proxy that shows it under ``/gram``."""
    async with opened(http=HttpConfig(root_path=root_path)) as service:

        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            assert scope["path"].startswith("/gram/")
            path = scope["path"].removeprefix("/gram") if is_stripped else scope["path"]
            await service.app({**scope, "path": path}, receive, send)

        transport = httpx.ASGITransport(app=proxy)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


@pytest.mark.parametrize(
    ("root_path", "is_stripped"), [("", True), ("/gram", True), ("/gram", False)]
)
async def test_everything_is_found_below_a_path(root_path: str, is_stripped: bool) -> None:
    async with open_below(root_path, is_stripped=is_stripped) as client:
        for start in ("/gram/", "/gram/docs"):
            text = (await client.get(start)).text
            for name in re.findall(r'(?:href|src)="([^"#:]+)"', text):
                assert (await client.get(urljoin(start, name))).status_code == 200, name
        assert (await client.get("/gram/readyz")).status_code == 200
        job = await client.post("/gram/jobs", content=EASY)
        location = urljoin(str(job.url), job.headers["Location"])
        shown = await client.get(location, params={"wait": 20})
        assert (shown.status_code, shown.json()["id"]) == (200, job.json()["id"])
        document = (await client.get("/gram/openapi.json")).json()
        assert document.get("servers", []) == ([{"url": root_path}] if root_path else [])


@pytest.mark.parametrize("path", ["gram", "/", "/gram/", "/grä"])
def test_a_root_path_begins_with_a_slash_and_does_not_end_with_one(path: str) -> None:
    with pytest.raises(ConfigError, match="root_path"):
        HttpConfig(root_path=path)
