import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gram_server.cli import main
from gram_server.doctor import Finding, examine, is_fit
from gram_server.settings import EngineConfig, HttpConfig, RedisConfig, Settings
from gram_server.shown_settings import shown


def findings(**parts: Any) -> dict[str, Finding]:
    found = examine(Settings(**{"http": HttpConfig(port=0), **parts}))
    return {finding.check: finding for finding in found}


def test_a_machine_that_runs_the_tests_is_fit() -> None:
    found = findings()
    assert is_fit(list(found.values()))
    assert found["python"].health == "ok"
    assert found["model sudoku-9x9"].health == "ok"


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


@pytest.mark.redis
def test_a_redis_that_would_lose_jobs_is_a_warning(redis_url: str) -> None:
    found = findings(redis=RedisConfig(store=redis_url))
    assert found["store"].health == "ok"
    assert found["appendonly"].health == "warning"


def test_the_command_prints_json_and_fails_where_something_is_wrong() -> None:
    result = CliRunner().invoke(main, ["doctor", "--port", "0", "--model", "no-such-model"])
    assert result.exit_code == 1
    assert {entry["health"] for entry in json.loads(result.stdout)} >= {"ok", "failed"}


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    url = "redis+sentinel://me:secret@one:1,two:2/service?sentinel_password=hidden"
    environment = {"GRAM_SERVER_STORE": url, "GRAM_SERVER_NUM_SLOTS": "8"}
    result = CliRunner().invoke(main, ["--print-config"], env=environment)
    assert result.exit_code == 0
    settings = json.loads(result.stdout)
    assert settings["engine"]["num_slots"] == 8
    assert settings["redis"]["store"].startswith(
        "redis+sentinel://***@one:1,two:2/service?sentinel_password="
    )
    assert "secret" not in result.stdout
    assert "hidden" not in result.stdout


def test_flags_are_shown_over_the_environment() -> None:
    environment = {"GRAM_SERVER_PORT": "1000"}
    result = CliRunner().invoke(
        main, ["serve", "--port", "2000", "--print-config"], env=environment
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["http"]["port"] == 2000


def test_every_setting_is_shown() -> None:
    settings = Settings()
    assert set(shown(settings)) == {"http", "queue", "redis", "engine", "log_level"}
    assert shown(settings)["http"]["port"] == settings.http.port
