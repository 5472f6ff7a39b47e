"""Everything in docker/: the rules its files keep. ``make images`` builds and runs the images."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from packaging.requirements import Requirement

from gram_server.server import CLOSE_MARGIN_S
from gram_server.settings import Settings
from tests.conftest import StartRedis
from tests.operate.dockerfile import read

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HEAD, STAGES = read(DOCKER / "Dockerfile")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api", "worker-cpu", "worker-gpu")
TARGETS = ("api", "cpu", "cuda")
PROGRAM = "/opt/gram/bin/gram-server"
WORKER_ONLY = {"torch", "safetensors"}


def test_base_images_are_named_once_and_pinned_to_a_version() -> None:
    arguments = dict(step.text.split("=", 1) for step in HEAD if step.word == "ARG")
    assert re.search(r":\d+\.\d+\.\d+-", arguments["PYTHON_IMAGE"])
    assert {stage.base for stage in STAGES.values()} == {"${PYTHON_IMAGE}"}


def test_no_package_can_come_from_either_of_two_indexes() -> None:
    commands = [command for stage in STAGES.values() for command in stage.all("RUN")]
    assert any("--index-url" in command for command in commands)
    for text in (*commands, (ROOT / "Makefile").read_text()):
        assert "--extra-index-url" not in text


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_in_particular_and_says_what_and_how_it_is(target: str) -> None:
    stage = STAGES[target]
    assert stage.last("USER") == "10001:0"
    assert stage.last("STOPSIGNAL") == "SIGTERM"
    health = stage.last("HEALTHCHECK").partition("CMD ")[2]
    assert json.loads(health) == [PROGRAM, "healthcheck"]
    # As lists, or a shell would stand between the signal and the server.
    assert json.loads(stage.last("ENTRYPOINT")) == ["/usr/bin/tini", "--", PROGRAM]
    assert json.loads(stage.last("CMD"))[0] == "serve"
    labels = " ".join(stage.all("LABEL"))
    for name in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels
    for name in ("revision", "source"):
        assert f'org.opencontainers.image.{name}="${{{name.upper()}}}"' in labels
        # An argument from above the first stage has its value where it is declared again.
        assert name.upper() in stage.all("ARG")
        assert any(step.text.startswith(f"{name.upper()}=") for step in HEAD)


def test_every_package_of_an_image_has_the_version_that_the_tests_ran_with() -> None:
    for target in TARGETS:
        stage = STAGES[f"{target}-environment"]
        assert "PIP_NO_CACHE_DIR=1" in stage.last("ENV")
        for command in stage.all("RUN"):
            installs = [part for part in command.split("&&") if " install " in part]
            assert installs
            assert all(
                "-c /src/constraints.txt" in each or "--no-deps" in each for each in installs
            )


def test_only_an_image_with_a_gpu_compiles_and_keeps_that_where_any_user_can_write() -> None:
    assert " ziglang " in STAGES["build"].last("RUN")
    for target in TARGETS:
        assert (" gcc " in STAGES[target].last("RUN")) == (target == "cuda")
    assert STAGES["api"].last("VOLUME") == STAGES["cpu"].last("VOLUME") == ""
    stage, folder = STAGES["cuda"], "/var/cache/triton"
    assert json.loads(stage.last("VOLUME")) == [folder]
    assert f"TRITON_CACHE_DIR={folder}" in stage.last("ENV").split()
    assert f"-m 2770 -o 10001 -g 0 {folder}" in stage.last("RUN")


def test_the_api_image_has_every_dependency_but_those_of_the_model() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(line).name for line in project["dependencies"]} - WORKER_ONLY
    wanted |= {Requirement(line).name for line in project["optional-dependencies"]["otel"]}
    lines = (DOCKER / "api-requirements.txt").read_text().splitlines()
    given = {Requirement(line).name for line in lines if not line.startswith("#")}
    # uvicorn[standard] without what only its reloader and web sockets need.
    assert given == wanted | {"uvloop", "httptools"}


def test_services_name_pinned_images_files_that_exist_and_profiles() -> None:
    for name, each in SERVICES.items():
        assert "build" in each or re.search(r":v?\d+\.\d+", each["image"]), name
        for volume in each.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DOCKER / source).exists(), volume
    profiles = {profile for each in SERVICES.values() for profile in each.get("profiles", [])}
    assert profiles == {"cpu", "gpu"}


def test_prometheus_scrapes_services_that_there_are_and_reads_rules_that_there_are() -> None:
    config = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    for name in config["rule_files"]:
        assert (DOCKER / "prometheus" / name).exists()
    scraped = [job["dns_sd_configs"][0] for job in config["scrape_configs"]]
    assert {each["port"] for each in scraped} == {9100}
    names = {name for each in scraped for name in each["names"]}
    assert names == {"api", "worker-cpu", "worker-gpu"}
    for name in names:
        assert SERVICES[name]["profiles"]
    for name in names - {"api"}:
        assert "9100" in SERVICES[name]["command"]
    # A port for scrapes alone: with keys, /metrics beside the rest needs one.
    assert SERVICES["api"]["environment"]["GRAM_SERVER_METRICS_PORT"] == "9100"


def test_nothing_is_published_beyond_this_machine_without_keys() -> None:
    for name, each in SERVICES.items():
        for port in each.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    text = (DOCKER / "compose.public.yaml").read_text()
    # What replaces a list of the first file, in the words of compose.
    public = yaml.safe_load(text.replace("!override ", ""))
    api = public["services"]["api"]
    assert "ports: !override" in text
    assert api["ports"] == ["8000:8000"]
    (secret,) = api["secrets"]
    assert api["environment"]["GRAM_SERVER_KEYS"] == f"/run/secrets/{secret['target']}"
    assert public["secrets"][secret["source"]]["file"].startswith("${GRAM_KEYS_FILE:?")


def test_a_service_of_ours_cannot_write_says_if_it_is_well_and_has_the_time_to_stop() -> None:
    settings = Settings.load(environ=SERVICES["api"]["environment"])
    for ours in (SERVICES[name] for name in OURS):
        assert ours["read_only"] is True
        assert ours["cap_drop"] == ["ALL"]
        assert ours["tmpfs"] == ["/tmp"]
        assert ours["build"]["target"] in TARGETS
        assert ours["healthcheck"]["test"] == ["CMD", PROGRAM, "healthcheck"]
        grace_s = float(ours["stop_grace_period"].removesuffix("s"))
        drain_s = settings.engine.drain_s + settings.http.drain_delay_s
        assert grace_s >= drain_s + CLOSE_MARGIN_S
    readme = (ROOT / "README.md").read_text()
    given_s = [int(text) for text in re.findall(r"docker run .*?--stop-timeout[ =](\d+)", readme)]
    assert given_s
    assert min(given_s) > Settings().engine.drain_s + CLOSE_MARGIN_S


def test_grafana_finds_its_dashboards_and_the_dashboards_their_data() -> None:
    provisioning = DOCKER / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"][0].endswith(":9090:9090")
    (provider,) = yaml.safe_load((provisioning / "dashboards/gram-server.yaml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    dashboard = DOCKER / "grafana/dashboards" / Path(home).name
    assert home == f"{folder}/{dashboard.name}"
    panels = json.loads(dashboard.read_text())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels if "targets" in panel} == {source["uid"]}


@pytest.mark.redis
@pytest.mark.slow
def test_redis_takes_the_configuration_and_loses_nothing(start_redis: StartRedis) -> None:
    server = start_redis(*_flags_of(DOCKER / "redis.conf"))
    client = redis.Redis(port=server.port, decode_responses=True)
    settings = client.config_get("*")
    client.close()
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendfsync"] == "everysec"


def _flags_of(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" ", 1)
            yield f"--{name}"
            yield from shlex.split(value) or [""]
