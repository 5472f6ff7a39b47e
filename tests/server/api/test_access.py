import asyncio
import hashlib
import hmac
import inspect
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from gram_server.api import access
from gram_server.api.access import PUBLIC, KeyFile, is_public
from gram_server.app import create_app
from gram_server.errors import ConfigError
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import HttpConfig, Settings

pytestmark = pytest.mark.anyio

EASY = ".234341221434321"
OPEN = {"/livez", "/readyz", "/startupz", "/problems/{code}", "/", "/page/{name}"}
"""Every path that may be reached without a key, written down once more."""


def entry(name: str, *scopes: str, token: str | None = None, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256((token or f"{name}-token").encode()).hexdigest()
    return {"name": name, "sha256": digest, "scopes": list(scopes), **more}


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"keys": entries}), "utf-8")
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write(
        tmp_path / "keys.json",
        entry("solver", "solve"),
        entry("worker", "jobs"),
        entry("other", "jobs"),
        entry("root", "admin"),
        entry("old", "solve", "jobs", "admin", expires="2020-01-01T00:00:00+00:00"),
        entry("slow", "solve", "jobs", trajectories_per_s=1.0),
    )


@asynccontextmanager
async def open_app(keys: Path, make_worker: Any) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    settings = Settings(http=HttpConfig(keys=str(keys)))
    store = MemoryStore(settings.queue)
    app = create_app(settings, store=store)
    working = asyncio.create_task(make_worker(store).run())
    await asyncio.sleep(0)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield app, client
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await store.close()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-token"}


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    def walk(routes: Any) -> Iterator[tuple[str, str]]:
        for route in routes:
            if isinstance(route, Route) or hasattr(route, "methods"):
                yield from ((method, route.path) for method in route.methods or ())
            else:
                nested = getattr(route, "original_router", route)
                yield from walk(nested.routes)

    return walk(app.routes)


async def test_no_route_is_open_without_a_key_unless_it_is_listed(
    keys: Path, make_worker: Any
) -> None:
    async with open_app(keys, make_worker) as (app, client):
        routes = sorted(set(routes_of(app)))
        assert {"/solve", "/generate", "/jobs", "/metrics", "/openapi.json"} <= {
            path for _, path in routes
        }
        for method, path in routes:
            response = await client.request(
                method, path.format(code="not_found", job_id="x", name="app.js")
            )
            if path in OPEN:
                assert response.status_code not in (401, 403), path
            else:
                assert response.status_code == 401, path
                assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_what_is_not_known_is_not_open(keys: Path, make_worker: Any) -> None:
    async with open_app(keys, make_worker) as (_, client):
        for path in ("/nothing", "/livezx", "/livez/../metrics", "/page/../metrics", "/METRICS"):
            assert (await client.get(path)).status_code in (401, 404), path
        assert (await client.get("/nothing", headers=bearer("solver"))).status_code == 403
        assert (await client.get("/nothing", headers=bearer("root"))).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "key_missing"),
        ({"Authorization": "Basic c29sdmVyOnRva2Vu"}, 401, "key_missing"),
        ({"Authorization": "Bearer "}, 401, "key_missing"),
        ({"Authorization": "Bearer wrong"}, 401, "key_invalid"),
        ({"Authorization": "Bearer \xe9"}, 401, "key_invalid"),
        ({"Authorization": "Bearer old-token"}, 401, "key_invalid"),
        ({"Authorization": "Bearer worker-token"}, 403, "scope_missing"),
        ({"Authorization": "bearer solver-token"}, 200, None),
        ({"Authorization": "Bearer root-token"}, 200, None),
    ],
)
async def test_a_key_opens_what_it_is_for(
    keys: Path, make_worker: Any, headers: dict[str, str], status: int, code: str | None
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with open_app(keys, make_worker) as (_, client):
        response = await client.post("/solve", content=EASY, headers=raw)
        assert response.status_code == status
        if code is not None:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["code"] == code


async def test_jobs_belong_to_their_key(keys: Path, make_worker: Any) -> None:
    async with open_app(keys, make_worker) as (_, client):
        job = (await client.post("/jobs", content=EASY, headers=bearer("worker"))).json()
        path = f"/jobs/{job['id']}"
        for method, target in (("GET", path), ("DELETE", path), ("GET", f"{path}/events")):
            response = await client.request(method, target, headers=bearer("other"))
            assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
        assert (await client.get("/jobs", headers=bearer("other"))).json()["jobs"] == []
        assert (await client.get(path, headers=bearer("worker"))).status_code == 200
        assert (await client.get(path, headers=bearer("root"))).status_code == 200


async def test_a_key_over_its_rate_is_told_when_to_come_back(keys: Path, make_worker: Any) -> None:
    async with open_app(keys, make_worker) as (_, client):
        first = await client.post("/solve?width=12", content=EASY, headers=bearer("slow"))
        assert first.status_code == 200
        for path in ("/solve?width=1", "/jobs?width=1"):
            second = await client.post(path, content=EASY, headers=bearer("slow"))
            assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(second.headers["Retry-After"]) <= 4
        assert (await client.get("/models", headers=bearer("slow"))).status_code == 200


async def test_keys_are_exchanged_while_the_server_runs(
    keys: Path, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "LOOK_S", 0.0)
    async with open_app(keys, make_worker) as (_, client):
        old = entry("solver", "solve")
        new = entry("solver", "solve", token="next-token")
        broken = {"name": "solver"}
        for step, (entries, statuses) in enumerate(
            [([old, new], (200, 200)), ([new], (401, 200)), ([broken], (401, 200))]
        ):
            write(keys, *entries)
            os.utime(keys, ns=(step, step))
            found = [
                (await client.get("/models", headers=bearer(name))).status_code
                for name in ("solver", "next")
            ]
            assert tuple(found) == statuses


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"sha256": "abc"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": "admin"},
        {"name": "a:b"},
        {"expires": "tomorrow"},
        {"colour": "red"},
    ],
)
def test_a_file_of_keys_that_makes_no_sense_stops_the_start(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    good = entry("a", "solve")
    path = write(tmp_path / "keys.json", {**good, **broken} if broken else {"name": "a"})
    with pytest.raises(ConfigError):
        KeyFile(path)
    assert KeyFile(write(path, good)).find("a-token") is not None


def test_every_key_is_compared_to_its_end_wherever_the_right_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def compare(known: str, offered: str) -> bool:
        compared.append(known)
        return real(known, offered)

    real = hmac.compare_digest
    entries = [entry(f"k{n}", "solve") for n in range(5)]
    keys = KeyFile(write(tmp_path / "keys.json", *entries))
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in ("k0-token", "k4-token", "wrong", ""):
        compared.clear()
        keys.find(token)
        assert len(compared) == 5
    assert "==" not in inspect.getsource(KeyFile.find)


def test_the_list_of_open_paths_is_as_short_as_it_should_be() -> None:
    assert set(PUBLIC) == {"/livez", "/readyz", "/startupz", "/problems", "/page"}
    assert is_public("/")
    assert not is_public("//solve")
    assert not is_public("/livezz")


async def test_no_answer_allows_another_origin(service: Any) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "POST", "OPTIONS"):
        response = await service.client.request(method, "/solve", headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_without_a_file_no_key_is_needed(service: Any) -> None:
    assert replace(Settings()).http.keys is None
    assert (await service.client.get("/metrics")).status_code == 200
