"""The Helm chart held against the server: its settings, routes and probes are the server's own."""

import copy
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import helm_python
import pytest
import yaml

from gram_server.api.middleware import is_public
from gram_server.app import create_app
from gram_server.errors import ConfigError
from gram_server.jobs.memory_store import MemoryStore
from gram_server.options import all_settings
from gram_server.server import CLOSE_MARGIN_S
from gram_server.settings import HttpConfig, Settings
from tests.conftest import free_port
from tests.operate.chart import BASE, CHART, EXAMPLES, example, render
from tests.operate.test_chart import REFUSED
from tests.processes import Running, running, wait_for

OF_THE_CHART = {
    "port": "8000",
    "metrics_port": "9100",
    "worker_metrics_port": "9100",
    "device": "cpu",
    "store": "redis://r",
}
"""Settings that are no values of the chart, as its manifests have them."""
KEYS = "keys"
"""One more, where there are keys."""
SCHEMA_TYPES = {
    "true or false": "boolean",
    "integer": "integer",
    "number": "number",
    "text": "string",
    "list, with commas": "array",
}
PORTS = {"http": 8000, "metrics": 9100}
SCHEMA = yaml.safe_load((CHART / "values.schema.json").read_text())
EDGES: Mapping[str, tuple[object, ...]] = {
    "integer": (-1, 0, 1, 1 << 20),
    "number": (-1, -0.5, 0, 0.5, 1e6),
    "string": ("", "a b", "a", "::1"),
    "boolean": (True, False),
}


def test_the_schema_has_every_setting_of_the_server_with_its_type() -> None:
    allowed = SCHEMA["properties"]["settings"]["properties"]
    known = {setting.name: setting.kind for setting in all_settings()}
    assert allowed.keys() == known.keys() - OF_THE_CHART.keys() - {KEYS}
    for name, each in allowed.items():
        assert kind_of(each) == SCHEMA_TYPES[known[name]], name


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("component", ["api", "worker"])
def test_the_server_takes_the_environment_it_is_given(name: str, component: str) -> None:
    values = example(name)
    rendered = render(values)
    settings = Settings.load(environ=rendered.environment(component))
    assert settings.redis.store is not None
    assert settings.http.host == settings.engine.worker_metrics_host == "0.0.0.0"
    assert (settings.http.port, settings.http.metrics_port) == (PORTS["http"], PORTS["metrics"])
    assert settings.engine.worker_metrics_port == PORTS["metrics"]
    assert settings.engine.device == ("cuda" if name == "gpu" else "cpu")
    if component == "worker":
        cpus = rendered.container("worker")["resources"]["limits"]["cpu"]
        assert settings.engine.num_threads == int(cpus)
    else:
        assert (settings.http.keys is not None) == (name == "production")
    for setting, value in values.get("settings", {}).items():
        parts = (settings.http, settings.queue, settings.redis, settings.engine)
        (held,) = [getattr(part, setting) for part in parts if hasattr(part, setting)]
        assert held == value


def test_settings_come_through_whatever_their_type() -> None:
    given = {
        "models": ["sudoku-9x9", "nqueens-8"],
        "latency_buckets_ms": [0.5, 1, 2.5],
        "trusted_proxies": ["10.0.0.0/8", "fd00::1"],
        "max_body_bytes": 1 << 24,
        "keep_keys_s": 1e7,
        "fixed_shape": False,
        "num_threads": 3,
        # As in a cluster with IPv6 alone.
        "host": "::",
    }
    rendered = render({**BASE, "settings": given})
    environ = rendered.environment("worker")
    settings = Settings.load(environ=environ)
    assert settings.engine.models == ("sudoku-9x9", "nqueens-8")
    assert settings.http.latency_buckets_ms == (0.5, 1.0, 2.5)
    assert settings.http.trusted_proxies == ("10.0.0.0/8", "fd00::1")
    assert settings.http.max_body_bytes == 1 << 24
    assert settings.queue.keep_keys_s == 1e7
    assert settings.engine.fixed_shape is False
    assert settings.engine.num_threads == 3
    assert settings.http.host == settings.engine.worker_metrics_host == "::"
    names = {name.removeprefix("GRAM_SERVER_").lower() for name in environ}
    of_values = {"worker_metrics_host", "log_level", "drain_s", "drain_delay_s"}
    assert names - given.keys() == OF_THE_CHART.keys() | of_values
    for name, value in OF_THE_CHART.items():
        assert environ[f"GRAM_SERVER_{name.upper()}"] == value


@pytest.mark.parametrize("name", EXAMPLES)
def test_pods_have_the_time_that_stopping_takes(name: str) -> None:
    rendered = render(example(name))
    settings = Settings.load(environ=rendered.environment("api"))
    stop_s = settings.engine.drain_s + CLOSE_MARGIN_S
    worker = rendered.pod("worker")["spec"]["terminationGracePeriodSeconds"]
    assert stop_s < worker
    api = rendered.pod("api")["spec"]
    assert stop_s + settings.http.drain_delay_s < api["terminationGracePeriodSeconds"]
    # Balancers hear of it while the server still takes work.
    readiness = api["containers"][0]["readinessProbe"]
    unready_s = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert unready_s < settings.http.drain_delay_s


def test_a_longer_drain_gives_more_time() -> None:
    rendered = render(
        {"redis": {"url": "redis://r"}, "settings": {"drain_s": 100.5, "drain_delay_s": 7}}
    )
    times = {
        name: rendered.pod(name)["spec"]["terminationGracePeriodSeconds"]
        for name in ("api", "worker")
    }
    assert times == {"api": math.ceil(100.5 + 7 + 15), "worker": math.ceil(100.5 + 15)}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_probes_ask_what_the_server_answers_without_a_key(name: str) -> None:
    rendered = render(example(name))
    environ = rendered.environment("api")
    # The file is in a secret, and not on this machine.
    environ.pop("GRAM_SERVER_KEYS", None)
    settings = Settings.load(environ=environ)
    app = create_app(settings, store=MemoryStore(settings.queue))
    container = rendered.container("api")
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {probe["path"] for probe in probes} <= app.openapi()["paths"].keys()
    assert all(is_public(probe["path"]) for probe in probes)


def kind_of(declared: Mapping[str, Any]) -> str:
    if "$ref" in declared:
        declared = SCHEMA["definitions"][declared["$ref"].rpartition("/")[2]]
    return str(declared.get("type", "string"))


def edges() -> Iterator[tuple[str, object]]:
    for name, declared in SCHEMA["properties"]["settings"]["properties"].items():
        kind = kind_of(declared)
        if kind != "array" and name not in ("log_level", "precision"):
            for value in EDGES[kind]:
                yield name, value


def server_takes(name: str, value: object) -> bool:
    text = "true" if value is True else "false" if value is False else str(value)
    try:
        Settings.load(environ={f"GRAM_SERVER_{name.upper()}": text})
    except ConfigError:
        return False
    return True


@pytest.mark.slow
def test_the_chart_takes_a_setting_exactly_where_the_server_does() -> None:
    verdicts = {}
    for name, value in edges():
        try:
            render({**BASE, "settings": {name: value}})
            is_taken = True
        except REFUSED:
            is_taken = False
        if is_taken != server_takes(name, value):
            verdicts[name, value] = is_taken
    assert verdicts == {}


def sections(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and not path:
            yield from sections(value, (*path, name))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_value_that_is_taken_away_trips_a_template() -> None:
    tripped = {}
    for path in sections(yaml.safe_load((CHART / "values.yaml").read_text())):
        values = copy.deepcopy(example("trial"))
        place = values
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = None
        try:
            render(values)
        except helm_python.HelmValuesError:
            # The schema says in a sentence which value is missing.
            continue
        except helm_python.HelmRenderError as error:
            # A template that refuses values says so in a sentence too.
            if "execution error at" not in str(error):
                tripped[path] = error
    assert tripped == {}


def test_the_ingress_leads_every_route_to_the_api_passes_events_on_and_waits_long_enough() -> None:
    rendered = render(example("production"))
    ingress = rendered.named("Ingress", "gram-server")
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    annotations = ingress["metadata"]["annotations"]
    assert annotations[prefix + "buffering"] == "off"
    limits = HttpConfig()
    for name in ("read-timeout", "send-timeout"):
        assert float(annotations[prefix + name]) > limits.max_deadline_ms / 1e3
    assert annotations[prefix + "body-size"] == f"{limits.max_body_bytes >> 20}m"
    rules = ingress["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["gram.example.com"]
    environ = rendered.environment("api")
    environ.pop("GRAM_SERVER_KEYS")
    settings = Settings.load(environ=environ)
    app = create_app(settings, store=MemoryStore(settings.queue))
    paths = {*app.openapi()["paths"], "/", "/docs", "/openapi.json", "/page/app.js"}
    for rule in rules:
        prefixes = [each["path"] for each in rule["http"]["paths"] if each["pathType"] == "Prefix"]
        unreached = {
            path for path in paths if not any(path.startswith(prefix) for prefix in prefixes)
        }
        assert unreached == set()
        for each in rule["http"]["paths"]:
            assert each["backend"]["service"] == {"name": "gram-server", "port": {"name": "http"}}


def passes(
    probe: Mapping[str, Any],
    ports: Mapping[str, int],
    inside: Running | None = None,
    environ: Mapping[str, str] | None = None,
) -> bool:
    """Ask what a probe asks, at the ports or in the container that stand for the real ones."""
    if "exec" in probe:
        program, *words = probe["exec"]["command"]
        assert program == "/opt/gram/bin/gram-server"
        if inside is None:
            return False
        pid = str(inside.process.pid)
        command = [sys.executable, "-m", "gram_server.cli", *words, "--pid", pid]
        ran = subprocess.run(command, env=environ, capture_output=True)
        return ran.returncode == 0
    asked = probe["httpGet"]
    try:
        with urlopen(f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}", timeout=5) as reply:
            return bool(reply.status == 200)
    except HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


@pytest.mark.redis
@pytest.mark.slow
def test_probes_tell_a_release_that_starts_from_one_that_works(
    redis_url: str, tmp_path: Path
) -> None:
    settings = {
        "queue_name": "chart",
        "models": ["sudoku-4x4"],
        "num_threads": 1,
        "drain_delay_s": 0,
    }
    rendered = render({"redis": {"url": redis_url}, "settings": settings})
    api, worker = (rendered.container(name) for name in ("api", "worker"))
    local = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GRAM")},
        "GRAM_SERVER_HOST": "127.0.0.1",
        "GRAM_SERVER_WORKER_METRICS_HOST": "127.0.0.1",
    }
    own, theirs = {"http": free_port(), "metrics": free_port()}, {"metrics": free_port()}
    of_api = rendered.environment("api") | local
    of_api["GRAM_SERVER_PORT"] = str(own["http"])
    of_api["GRAM_SERVER_METRICS_PORT"] = str(own["metrics"])
    of_worker = rendered.environment("worker") | local
    of_worker["GRAM_SERVER_WORKER_METRICS_PORT"] = str(theirs["metrics"])
    with running(tmp_path / "api.log", *api["args"], environ=of_api):
        wait_for(lambda: passes(api["startupProbe"], own), lambda: "the API never starts")
        assert passes(api["livenessProbe"], own)
        assert not passes(api["readinessProbe"], own), "there is no worker yet"
        assert not passes(worker["startupProbe"], theirs)
        with running(tmp_path / "worker.log", *worker["args"], environ=of_worker) as inside:
            wait_for(lambda: passes(worker["livenessProbe"], theirs), lambda: "it has no metrics")
            wait_for(
                lambda: passes(worker["startupProbe"], theirs, inside, of_worker),
                lambda: "the worker is never warm",
            )
            assert passes(worker["readinessProbe"], theirs)
            wait_for(lambda: passes(api["readinessProbe"], own), lambda: "the API is never ready")
            with urlopen(f"http://127.0.0.1:{own['metrics']}/metrics", timeout=5) as reply:
                assert b"gram_queue_trajectories" in reply.read()
