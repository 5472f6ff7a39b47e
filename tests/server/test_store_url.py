"""Secrets in the URL of Redis, however it is written: wherever settings are shown, they are not."""

import json
import logging
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gram_server.cli import main
from gram_server.errors import ConfigError
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.logs import JsonFormatter
from gram_server.options import secret_texts, shown
from gram_server.settings import RedisConfig, Settings
from gram_server.store_url import hosts, redact_url

UNREADABLE = (
    "redis://:pa/SECRET@h:6379",
    "redis://:12/SECRET@h:6379",
    "redis://:12?SECRET@h:6379",
    "redis://me:pa#SECRET@h:6379",
    "redis://:pa[SECRET@h:6379",
    "rediss://me:pa?SECRET@h:6379/0",
    "redis://:SECRET",
    "redis://h/0?password=SECRET@more",
    "redis://h/0?password=x#SECRET",
    "redis+sentinel://me:pa/SECRET@one:1,two:2/service",
    "redis+cluster://me:pa/SECRET@one:1,two:2",
    "unix://me:pa/SECRET@/run/redis.sock",
)
NO_REDIS = ("REDIS://me:SECRET@h", "redis:me:SECRET@h", "me:SECRET@h:6379", "http://me:SECRET@h")
READABLE = (
    "redis://me:p@SECRET@h:6379/0",
    "redis://SECRET:p@h",
    "rediss://:SECRET@h?ssl_ca_certs=/etc/ca.pem",
    "redis://h/0?password=SECRET&db=1",
    "redis://h/0?db=0;password=SECRET",
    "redis://h/0?username=SECRET",
    "redis://h/0?password=a&SECRET",
    "redis+sentinel://me:SECRET@one:1,two:2/service?sentinel_password=SECRET",
    "redis+cluster://me:SECRET@[::1]:7000,two:2",
    "unix://me:SECRET@/run/redis.sock?db=1",
)


@pytest.mark.parametrize("url", [*UNREADABLE, *NO_REDIS, *READABLE])
def test_a_secret_is_never_shown(url: str) -> None:
    assert "SECRET" not in redact_url(url)


@pytest.mark.parametrize("url", READABLE)
def test_settings_in_force_are_shown_without_it(url: str) -> None:
    settings = Settings(redis=RedisConfig(store=url))
    assert "SECRET" not in f"{settings!r} {settings} {shown(settings)}"
    ran = CliRunner().invoke(main, ["--print-config"], env={"GRAM_SERVER_STORE": url})
    assert ran.exit_code == 0
    assert "SECRET" not in ran.output
    assert json.loads(ran.stdout)["redis"]["store"].startswith(url.partition("://")[0] + "://")


@pytest.mark.parametrize("command", [["--print-config"], ["serve"], ["worker"], ["doctor"]])
@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_does_not_parse_is_refused_with_the_advice(url: str, command: list[str]) -> None:
    ran = CliRunner().invoke(main, command, env={"GRAM_SERVER_STORE": url})
    assert ran.exit_code == 2
    assert "percent-encode the password" in ran.stderr
    assert "SECRET" not in ran.output
    assert isinstance(ran.exception, SystemExit)


@pytest.mark.parametrize("url", NO_REDIS)
def test_another_url_is_refused_without_it(url: str) -> None:
    ran = CliRunner().invoke(main, ["dlq", "list", "--store", url])
    assert ran.exit_code == 2
    assert "is no Redis URL" in ran.stderr
    assert "SECRET" not in ran.output


def test_a_parameter_that_the_client_library_refuses_is_one_sentence() -> None:
    with pytest.raises(ConfigError) as refused:
        RedisConnection(RedisConfig(store="redis://:SECRET@h?socket_timeout=SECRET"))
    assert "SECRET" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("name", ["GRAM_SERVER_STOER", "GRAM_SERVER_API_KEY", "GRAM_SERVER_PORT"])
def test_a_value_under_a_wrong_name_is_not_shown(name: str) -> None:
    ran = CliRunner().invoke(main, ["serve"], env={name: "redis://me:SECRET@h"})
    assert ran.exit_code == 2
    assert name.removeprefix("GRAM_SERVER_").lower() in ran.stderr
    assert "SECRET" not in ran.output


def test_a_log_line_holds_no_secret_of_the_settings_nor_of_the_traces() -> None:
    settings = Settings(redis=RedisConfig(store="redis://me:first%2Fone@h"))
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20second,broken: third-one",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:fourth@collector:4318",
    }
    formatter = JsonFormatter(secret_texts(settings, environ))
    try:
        raise ValueError("first/one")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    words = "first/one first%2Fone Bearer second; broken: third-one; me:fourth@collector"
    line = formatter.format(logging.LogRecord("x", logging.INFO, "", 0, words, (), info))
    for secret in ("first/one", "first%2Fone", "second", "third-one", "fourth"):
        assert secret not in line
    assert "collector" in line


@pytest.mark.slow
def test_a_process_that_is_given_unreadable_headers_of_traces_does_not_log_them() -> None:
    # OpenTelemetry warns of such a header with its text.
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer SECRET",
        "GRAM_SERVER_KEYS": "/no/such/file",
    }
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--store", "redis://127.0.0.1:1"]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert "Header format invalid" in ran.stderr
    assert "SECRET" not in ran.stderr


def test_hosts_may_be_addresses_of_both_families() -> None:
    url = "redis+sentinel://me:x@[2001:db8::1]:1,[::1],10.0.0.1:2,name/service"
    assert hosts(url, 9) == [("2001:db8::1", 1), ("::1", 9), ("10.0.0.1", 2), ("name", 9)]
