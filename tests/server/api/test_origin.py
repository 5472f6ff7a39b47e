"""What a page of another site makes a browser send, and to whom it may seem to be sent."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gram_server.api.middleware import name_of
from gram_server.errors import ConfigError
from gram_server.logs import JsonFormatter
from gram_server.settings import HttpConfig
from tests.server.api.conftest import key_entry, opened, write_keys

pytestmark = pytest.mark.anyio

EASY = ".234341221434321"
TEXT = {"Content-Type": "text/plain"}


@asynccontextmanager
async def open_client(
    url: str = "http://127.0.0.1:8000", **http: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(url=url, http=HttpConfig(**http)) as service:
        yield service.client


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as opened_client:
        yield opened_client


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:8000", "localhost:8000", "LOCALHOST", "localhost.", "app.localhost:3000"),
        *("[::1]:8000", "127.0.0.2", "192.168.1.7:8000", ""),
        *("gram-server:8000", "upstream"),
    ],
)
async def test_local_names_and_addresses_are_ours(client: httpx.AsyncClient, host: str) -> None:
    response = await client.post("/solve", content=EASY, headers={"Host": host})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("evil.localhost.example", "127.0.0.1@evil.example", "[evil.example]", "[", "a" * 5000),
        *("\u0661.evil.example", "127.0.0.1 evil.example"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs"), ("GET", "/"), ("POST", "/solve")])
async def test_a_name_that_a_stranger_may_own_is_refused(
    client: httpx.AsyncClient, method: str, path: str, host: str
) -> None:
    headers = [(b"Host", host.encode("utf-8"))]
    response = await client.request(method, path, content=EASY, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "origin_refused")
    assert response.json()["errors"][0]["field"] == "Host"
    assert response.headers["X-Request-ID"] == response.json()["request_id"]


async def test_two_names_are_none(client: httpx.AsyncClient) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert (await client.get("/jobs", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "https://127.0.0.1:8000"}, 200),
        ({"Origin": "http://127.0.0.1:8001"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:9000", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        # A proxy before the server calls it by another name than the browser does.
        ({"Origin": "https://puzzles.example", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/solve", "/jobs", "/generate?puzzle=sudoku&size=4"])
async def test_only_our_own_page_may_send_work(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    content = None if path.startswith("/generate") else EASY
    response = await client.post(path, content=content, headers={**TEXT, **headers})
    assert response.status_code in ((200, 202) if status == 200 else (status,))
    if status == 403:
        assert response.json()["code"] == "origin_refused"


async def test_nobody_elses_page_may_cancel_a_job() -> None:
    async with open_client() as client:
        job = (await client.post("/jobs", content=EASY)).json()
        path = f"/jobs/{job['id']}"
        refused = await client.delete(path, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        assert (await client.get(path)).json()["state"] != "cancelled"


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ({"host": "0.0.0.0"}, "http://10.0.0.7:8000"),
        ({"host": "::"}, "http://127.0.0.1:8000"),
        ({"allowed_hosts": ("*",), "allowed_origins": ("*",)}, "http://127.0.0.1:8000"),
    ],
)
async def test_a_server_for_others_asks_for_no_name(http: dict[str, Any], url: str) -> None:
    async with open_client(url, **http) as client:
        headers = {"Host": "puzzles.example", "Origin": "https://elsewhere.example"}
        assert (await client.post("/solve", content=EASY, headers=headers)).status_code == 200


async def test_behind_keys_no_name_is_asked_for(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json")
    async with open_client(keys=str(keys)) as client:
        headers = {"Host": "puzzles.example", "Origin": "https://elsewhere.example"}
        assert (await client.post("/solve", content=EASY, headers=headers)).status_code == 401
        assert (await client.get("/livez", headers=headers)).status_code == 200


async def test_names_and_origins_that_are_allowed_are_let_in() -> None:
    http: dict[str, Any] = {
        "allowed_hosts": ("Puzzles.example",),
        "allowed_origins": ("https://elsewhere.example",),
    }
    async with open_client(host="0.0.0.0", **http) as client:
        for host, origin, status in (
            ("puzzles.example:443", "https://elsewhere.example", 200),
            ("puzzles.example", "https://puzzles.example", 200),
            ("puzzles.example", "https://evil.example", 403),
            ("other.example", "https://elsewhere.example", 403),
            ("10.0.0.7:8000", "https://elsewhere.example", 200),
        ):
            headers = {"Host": host, "Origin": origin}
            response = await client.post("/solve", content=EASY, headers=headers)
            assert response.status_code == status, (host, origin)


def test_the_port_is_no_part_of_a_name() -> None:
    assert [name_of(host) for host in ("A.b:1", "[::1]:2", "[::1]", "x.", ":3")] == [
        *("a.b", "::1", "::1", "x", "")
    ]


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.0/33", ""])
def test_a_proxy_is_an_address_or_a_network(proxy: str) -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        HttpConfig(trusted_proxies=(proxy,))


async def test_a_line_says_who_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = write_keys(tmp_path / "keys.json", key_entry("team-a", "jobs", token="token"))
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JsonFormatter().format(record)))  # type: ignore[method-assign]
    logger = logging.getLogger("gram_server.api.middleware")
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            async with open_client(keys=str(keys)) as client:
                await client.get("/jobs", headers={"Authorization": "Bearer token"})
                await client.get("/jobs", headers={"X-Forwarded-For": "203.0.113.9"})
    finally:
        logger.removeHandler(handler)
    known, unknown = lines
    assert (known["key"], known["client"], known["status"]) == ("team-a", "127.0.0.1", 200)
    assert (unknown["client"], unknown["status"]) == ("127.0.0.1", 401)
    assert "key" not in unknown
