import asyncio
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
from fastapi import FastAPI
from starlette.routing import Route

from gram_server.api.keys import KeyFile
from gram_server.api.middleware import PUBLIC, is_public
from gram_server.errors import ConfigError
from gram_server.settings import HttpConfig, Settings
from tests.server.api.conftest import Service, key_entry, opened, write_keys

pytestmark = pytest.mark.anyio

EASY = ".234341221434321"
OPEN = {"/livez", "/readyz", "/startupz", "/problems/{code}", "/", "/page/{name}"}
"""Every path that may be reached without a key, written down once more."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(
        tmp_path / "keys.json",
        key_entry("solver", "solve"),
        key_entry("worker", "jobs"),
        key_entry("other", "jobs"),
        key_entry("root", "admin"),
        key_entry("old", "solve", "jobs", "admin", expires="2020-01-01T00:00:00+00:00"),
        key_entry("slow", "solve", "jobs", trajectories_per_s=1.0),
    )


@asynccontextmanager
async def open_app(
    keys: Path, *, max_trajectories: int = 4096, is_held: bool = False
) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    http = HttpConfig(keys=str(keys), max_width=64)
    async with opened(http=http, max_trajectories=max_trajectories) as service:
        service.worker.is_held = is_held
        yield service.app, service.client


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-token"}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    def walk(routes: Any) -> Iterator[tuple[str, str]]:
        for route in routes:
            if isinstance(route, Route) or hasattr(route, "methods"):
                yield from ((method, route.path) for method in route.methods or ())
            else:
                nested = getattr(route, "original_router", route)
                yield from walk(nested.routes)

    return walk(app.routes)


async def test_no_route_is_open_without_a_key_unless_it_is_listed(keys: Path) -> None:
    async with open_app(keys) as (app, client):
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


async def test_what_is_not_known_is_not_open(keys: Path) -> None:
    async with open_app(keys) as (_, client):
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
    keys: Path, headers: dict[str, str], status: int, code: str | None
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with open_app(keys) as (_, client):
        response = await client.post("/solve", content=EASY, headers=raw)
        assert response.status_code == status
        if code is not None:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["code"] == code


async def test_jobs_belong_to_their_key(keys: Path) -> None:
    async with open_app(keys) as (_, client):
        job = (await client.post("/jobs", content=EASY, headers=bearer("worker"))).json()
        path = f"/jobs/{job['id']}"
        for method, target in (("GET", path), ("DELETE", path), ("GET", f"{path}/events")):
            response = await client.request(method, target, headers=bearer("other"))
            assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
        assert (await client.get("/jobs", headers=bearer("other"))).json()["jobs"] == []
        assert (await client.get(path, headers=bearer("worker"))).status_code == 200
        assert (await client.get(path, headers=bearer("root"))).status_code == 200


async def test_a_key_over_its_rate_is_told_when_to_come_back(keys: Path) -> None:
    async with open_app(keys) as (_, client):
        first = await client.post("/solve?width=12", content=EASY, headers=bearer("slow"))
        assert first.status_code == 200
        for path in ("/solve?width=1", "/jobs?width=1"):
            second = await client.post(path, content=EASY, headers=bearer("slow"))
            assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(second.headers["Retry-After"]) <= 4
        assert (await client.get("/models", headers=bearer("slow"))).status_code == 200


async def test_a_repeated_request_gets_its_job_and_costs_its_key_nothing(keys: Path) -> None:
    async with open_app(keys) as (_, client):
        headers = {**bearer("slow"), "Idempotency-Key": "order-17"}
        path = "/jobs?width=12&seed=1"
        first, *others = [await client.post(path, content=EASY, headers=headers) for _ in range(4)]
        assert [first.status_code, *(other.status_code for other in others)] == [202, *[200] * 3]
        assert {other.json()["id"] for other in others} == {first.json()["id"]}
        # Of 10 trajectories 12 were asked for once: two more seconds and there is one again.
        refused = await client.post("/solve?width=1", content=EASY, headers=bearer("slow"))
        assert 1 <= int(refused.headers["Retry-After"]) <= 4
        other = await client.post(path, content="." * 16, headers=headers)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_requests_of_one_key_at_the_same_time_are_charged_once(keys: Path) -> None:
    async with open_app(keys) as (app, client):
        headers = {**bearer("slow"), "Idempotency-Key": "order-18"}
        posts = (client.post("/jobs?width=4", content=EASY, headers=headers) for _ in range(2))
        assert sorted(one.status_code for one in await asyncio.gather(*posts)) == [200, 202]
        take_tokens = app.state.app_state.store.take_tokens
        assert await take_tokens("slow", 5, rate=1.0, burst=10.0) == 0.0
        assert await take_tokens("slow", 1, rate=1.0, burst=10.0) == 0.0


async def test_what_one_look_refutes_is_not_charged(keys: Path) -> None:
    dead = "123....4........"
    async with open_app(keys) as (_, client):
        for body in (dead, json.dumps({"instances": [dead] * 3})):
            for _ in range(3):
                taken = await client.post("/jobs?width=9", content=body, headers=bearer("slow"))
                assert taken.status_code == 202
        for _ in range(3):
            answer = await client.post("/solve?width=9", content=dead, headers=bearer("slow"))
            assert answer.json()["status"] == "unsolved"
        mixed = json.dumps({"instances": [dead, EASY]})
        statuses = [
            (await client.post(path, content=mixed, headers=bearer("slow"))).status_code
            for path in ("/jobs?width=12", "/jobs?width=1")
        ]
        assert statuses == [202, 429]


@pytest.mark.parametrize("path", ["/solve", "/jobs"])
async def test_what_is_refused_is_not_charged(keys: Path, path: str) -> None:
    async with open_app(keys, max_trajectories=64, is_held=True) as (_, client):
        full = await client.post("/jobs?width=60", content=EASY, headers=bearer("worker"))
        assert full.status_code == 202
        for _ in range(5):
            refused = await client.post(f"{path}?width=9", content=EASY, headers=bearer("slow"))
            assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")


async def test_keys_are_exchanged_while_the_server_runs(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_server.api.keys.CHECK_S", 0.0)
    async with open_app(keys) as (_, client):
        old = key_entry("solver", "solve")
        new = key_entry("solver", "solve", token="next-token")
        broken = {"name": "solver"}
        for step, (entries, statuses) in enumerate(
            [([old, new], (200, 200)), ([new], (401, 200)), ([broken], (401, 200))]
        ):
            write_keys(keys, *entries)
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
        {"name": "a/b"},
        {"name": ""},
        {"name": "x" * 101},
        {"name": 7},
        {"expires": "tomorrow"},
        {"expires": "2030-01-31"},
        {"expires": "2030-01-31T00:00:00"},
        {"expires": 2030},
        {"trajectories_per_s": 0},
        {"trajectories_per_s": -1},
        {"trajectories_per_s": float("inf")},
        {"trajectories_per_s": float("nan")},
        {"trajectories_per_s": 1e-15},
        {"trajectories_per_s": 1.7e308},
        {"trajectories_per_s": True},
        {"trajectories_per_s": "fast"},
        {"sha256": None},
        {"colour": "red"},
    ],
)
def test_a_file_of_keys_that_makes_no_sense_stops_the_start(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    good = key_entry("a", "solve")
    path = write_keys(tmp_path / "keys.json", {**good, **broken} if broken else {"name": "a"})
    with pytest.raises(ConfigError):
        KeyFile(path)
    assert KeyFile(write_keys(path, good)).find("a-token") is not None


def test_a_bad_entry_is_named_and_leaves_the_others_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = key_entry("a", "solve"), key_entry("b", "solve", trajectories_per_s=0)
    keys = KeyFile(write_keys(tmp_path / "keys.json", bad, {}, good))
    assert keys.find("a-token") is not None
    assert keys.find("b-token") is None
    assert [fault.partition(":")[0] for fault in keys.faults] == [
        "keys[0], 'b'",
        "keys[1], 'None'",
    ]
    assert "trajectories_per_s is a number from" in caplog.text


def test_every_key_is_compared_to_its_end_wherever_the_right_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def compare(known: str, offered: str) -> bool:
        compared.append(known)
        return real(known, offered)

    real = hmac.compare_digest
    entries = [key_entry(f"k{n}", "solve") for n in range(5)]
    keys = KeyFile(write_keys(tmp_path / "keys.json", *entries))
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


async def test_no_answer_allows_another_origin(service: Service) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "POST", "OPTIONS"):
        response = await service.client.request(method, "/solve", headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_without_a_file_no_key_is_needed(service: Service) -> None:
    assert replace(Settings()).http.keys is None
    assert (await service.client.get("/metrics")).status_code == 200
