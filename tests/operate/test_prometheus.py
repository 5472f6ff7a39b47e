"""The dashboard and the rules against Debian's Prometheus, scraping a server that has worked."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from gram_server.metrics.gpu import Gauge, GpuCollector
from tests.conftest import free_port
from tests.operate.chart import render
from tests.processes import running, wait_until_ready

DOCKER = Path(__file__).parents[2] / "docker"
RULES = DOCKER / "prometheus/gram-server.rules.yml"
DASHBOARD = DOCKER / "grafana/dashboards/gram-server.json"
GRID = "1.34341221434321"
THRESHOLD = re.compile(r"\s[<>]=?\s[\d.]+")


def panel_queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_dashboard_shows_all_that_an_operator_asks_about() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Solutions", "Engine", "Queue and workers", "GPU"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len(places)


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) >= 5
    for alert in alerts:
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["labels"]["severity"] in ("warning", "critical")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Calls a Prometheus that has scraped a working server for a while."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("there is no prometheus on this machine: install it to run this test")
    folder = tmp_path_factory.mktemp("prometheus")
    registry = CollectorRegistry()
    readings = {
        "memory_used_bytes": 1 << 30,
        "memory_total_bytes": 1 << 34,
        "utilisation_ratio": 0.5,
    }
    gauges = [Gauge(name, "…", partial(float, value)) for name, value in readings.items()]
    registry.register(GpuCollector(gauges, error=RuntimeError))
    gpu, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    options = ("serve", "--port", "0", "--model", "sudoku-4x4", "--num-threads", "1")
    with running(folder / "server.log", *options) as server:
        url = server.url()
        wait_until_ready(url)
        port = write_config(folder, [url.removeprefix("http://"), f"127.0.0.1:{gpu.server_port}"])
        command = [binary, f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
        with (folder / "log").open("w") as log:
            scraping = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
                work(url, client)
                yield client
        finally:
            scraping.terminate()
            scraping.wait(20.0)
            gpu.shutdown()
            gpu.server_close()
            thread.join(5.0)


def write_config(folder: Path, targets: list[str]) -> int:
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "gram", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return free_port()


def work(url: str, prometheus: httpx.Client) -> None:
    """Ask for solutions and for something impossible until Prometheus has all that is looked at."""
    queries = [*panel_queries(), *(THRESHOLD.sub("", rule["expr"]) for rule in rules())]
    with httpx.Client(base_url=url, timeout=30.0) as client:
        end_s = time.monotonic() + 60.0
        while (queries := unanswered(prometheus, queries)) and time.monotonic() < end_s:
            assert client.post("/solve?width=4", content=GRID).status_code == 200
            assert client.post("/solve", content="44" + GRID[2:]).status_code == 422
            time.sleep(0.2)


def unanswered(prometheus: httpx.Client, queries: list[str]) -> list[str]:
    """Return the queries that still find nothing."""
    try:
        return [query for query in queries if not ask(prometheus, query)]
    except (httpx.TransportError, httpx.HTTPStatusError):
        # It does not listen yet, or says that it is not ready.
        return queries


def ask(prometheus: httpx.Client, query: str) -> list[Any]:
    reply = prometheus.get("/api/v1/query", params={"query": query})
    if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        reply.raise_for_status()
    found = reply.json()
    assert found["status"] == "success", (query, found)
    return list(found["data"]["result"])


@pytest.mark.slow
def test_every_panel_shows_something(prometheus: httpx.Client) -> None:
    assert unanswered(prometheus, panel_queries()) == []


@pytest.mark.slow
def test_every_rule_is_evaluated_on_data_and_no_alert_fires_at_a_healthy_server(
    prometheus: httpx.Client,
) -> None:
    bare = [THRESHOLD.sub("", rule["expr"]) for rule in rules()]
    assert unanswered(prometheus, bare) == []
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert [rule["name"] for rule in evaluated if rule["health"] != "ok"] == []
    states = {rule["name"]: rule["state"] for rule in evaluated if rule["type"] == "alerting"}
    assert set(states.values()) == {"inactive"}, states


@pytest.mark.slow
def test_workers_in_kubernetes_scale_on_numbers_that_are_there(prometheus: httpx.Client) -> None:
    prometheus_of_test = {"selector": 'job="gram"'}
    scaling = {"enabled": True, "prometheus": prometheus_of_test}
    rendered = render({"redis": {"url": "redis://r"}, "worker": {"autoscaling": scaling}})
    (scaled,) = rendered.of_kind("ScaledObject")
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    assert len(queries) == 2
    for query in queries:
        (sample,) = ask(prometheus, query)
        # One number for all pods, and nothing is left of the load by now.
        assert sample["metric"] == {}
        assert float(sample["value"][1]) >= 0.0


@pytest.mark.slow
def test_promtool_accepts_rules_and_configuration() -> None:
    binary = shutil.which("promtool")
    if binary is None:
        pytest.skip("there is no promtool on this machine: install prometheus to run this test")
    for command, path in (("rules", RULES), ("config", DOCKER / "prometheus/prometheus.yml")):
        done = subprocess.run([binary, "check", command, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
