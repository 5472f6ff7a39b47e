import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from gram_core.bound_step import native_precision
from gram_kernels.supervision_step.native import refusal
from gram_server import doctor
from gram_server.cli import main
from gram_server.doctor import Finding, Limits, examine, is_fit
from gram_server.settings import EngineConfig, HttpConfig, RedisConfig, Settings


def findings(**parts: Any) -> dict[str, Finding]:
    found = examine(Settings(**{"http": HttpConfig(port=0), **parts}))
    return {finding.check: finding for finding in found}


def test_a_machine_that_runs_the_tests_is_fit() -> None:
    found = findings()
    assert is_fit(list(found.values()))
    assert found["python"].health == "ok"
    assert found["model sudoku-9x9"].health == "ok"


@pytest.mark.skipif(bool(refusal()), reason=refusal() or "there is native code")
def test_the_precision_of_products_is_said() -> None:
    said = findings()["supervision step"].detail
    assert said.endswith(f", products in {native_precision()}")
    said = findings(engine=EngineConfig(precision="fp32"))["supervision step"].detail
    assert said.endswith(", products in fp32")


def test_a_taken_port_and_an_open_door_are_warnings() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        found = findings(http=HttpConfig(host="0.0.0.0", port=port))
    assert found["address"].health == "warning"
    assert found["keys"].health == "warning"


@pytest.mark.parametrize(
    ("parts", "check"),
    [
        ({"engine": EngineConfig(models=("no-such-model",))}, "model no-such-model"),
        ({"http": HttpConfig(port=0, keys="/no/such/file")}, "keys"),
        ({"redis": RedisConfig(store="redis://127.0.0.1:1")}, "store"),
    ],
)
def test_what_stands_in_the_way_is_named(parts: dict[str, Any], check: str) -> None:
    found = findings(**parts)
    assert found[check].health == "failed"
    assert not is_fit(list(found.values()))


def test_the_limits_of_a_container_are_those_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(doctor, "read_limits", lambda: Limits(1.5, 1 << 29))
    found = findings()
    assert found["processors"].health == "warning"
    assert found["processors"].detail.startswith("8 usable, 1.5 by the container's limit")
    assert found["memory"].health == "warning"
    assert ", 0.5 by the container's limit" in found["memory"].detail
    found = findings(engine=EngineConfig(num_threads=2))
    assert found["processors"].health == "ok"


@pytest.mark.redis
def test_a_redis_that_would_lose_jobs_is_a_warning(redis_url: str) -> None:
    found = findings(redis=RedisConfig(store=redis_url))
    assert found["store"].health == "ok"
    assert found["appendonly"].health == "warning"


def test_the_command_prints_json_and_fails_where_something_is_wrong() -> None:
    result = CliRunner().invoke(main, ["doctor", "--port", "0", "--model", "no-such-model"])
    assert result.exit_code == 1
    assert {entry["health"] for entry in json.loads(result.stdout)} >= {"ok", "failed"}


def test_every_setting_is_shown_and_flags_over_the_environment() -> None:
    environment = {"GRAM_SERVER_PORT": "1000"}
    result = CliRunner().invoke(
        main, ["serve", "--port", "2000", "--print-config"], env=environment
    )
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert set(shown) == {"http", "queue", "redis", "engine", "log_level"}
    assert shown["http"]["port"] == 2000


@contextmanager
def user_of_redis(url: str, *rights: str) -> Iterator[str]:
    """Yield the URL of a user with these rights alone."""
    with Redis.from_url(url) as redis:
        redis.execute_command("ACL", "SETUSER", "gram", "reset", "on", ">word", *rights)
        try:
            yield url.replace("redis://", "redis://gram:word@")
        finally:
            redis.execute_command("ACL", "DELUSER", "gram")


def documented_rights() -> list[str]:
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    found = re.search(r"`(~\{gram\}:\* [^`]+)`", text)
    assert found is not None
    return found[1].split()


@pytest.mark.redis
@pytest.mark.parametrize(
    ("missing", "store", "appendonly"),
    [
        # The rights that the documentation names are enough.
        (None, "ok", "warning"),
        # Without the right to read its settings Redis is fit too.
        ("+config|get", "ok", None),
        ("+@write", "failed", None),
        ("+@scripting", "failed", None),
        ("+time", "failed", None),
        ("~{gram}:*", "failed", None),
    ],
)
def test_the_rights_of_a_user_of_redis_are_looked_at(
    redis_url: str, missing: str | None, store: str, appendonly: str | None
) -> None:
    rights = documented_rights()
    assert missing is None or missing in rights
    with user_of_redis(redis_url, *(right for right in rights if right != missing)) as url:
        found = findings(redis=RedisConfig(store=url))
    assert found["store"].health == store
    assert "word" not in found["store"].detail
    if store == "ok":
        assert (found["appendonly"].health if "appendonly" in found else None) == appendonly


@pytest.mark.redis
def test_a_look_leaves_nothing_in_redis(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        findings(redis=RedisConfig(store=redis_url))
        assert redis.keys() == []


def test_a_device_that_is_not_here_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert findings(engine=EngineConfig(device="cuda"))["device"].health == "failed"
    gpu = SimpleNamespace(name="a GPU", total_memory=1 << 34)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: gpu)
    assert findings(engine=EngineConfig(device="cuda:0"))["device"].health == "ok"
    assert findings(engine=EngineConfig(device="cuda:1"))["device"].health == "failed"


def test_an_address_of_ipv6_is_looked_at_as_the_server_would_listen() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    found = findings(http=HttpConfig(host="::1", port=0))
    assert found["address"].health == "ok"
    assert "[::1]:0" in found["address"].detail
    assert "keys" not in found
    assert findings(http=HttpConfig(host="192.0.2.1", port=0))["address"].health == "failed"
