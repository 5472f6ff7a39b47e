"""Everything in docker/: the rules its files keep, and images rehearsed without Docker."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
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
from tests.conftest import StartRedis, free_port
from tests.operate.dockerfile import MOVED, Rehearsal, Stage, entry, read

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HEAD, STAGES = read(DOCKER / "Dockerfile")
TARGETS = ("api", "cpu", "cuda")
WORKER_ONLY = {"torch", "safetensors"}
MAX_API_BYTES = 100e6
"""What we may add to the base image."""


def service(name: str) -> dict[str, Any]:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return dict(services[name])


def test_base_images_are_named_once_and_pinned_to_a_version() -> None:
    arguments = dict(step.text.split("=", 1) for step in HEAD if step.word == "ARG")
    assert re.search(r":\d+\.\d+\.\d+-", arguments["PYTHON_IMAGE"])
    assert {stage.base for stage in STAGES.values()} == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_of_which_commit_of_which_repository_it_is(target: str) -> None:
    stage = STAGES[target]
    labels = " ".join(stage.all("LABEL"))
    for name in ("revision", "source"):
        assert f'org.opencontainers.image.{name}="${{{name.upper()}}}"' in labels
        # An argument from above the first stage has its value where it is declared again.
        assert name.upper() in stage.all("ARG")
        assert any(step.text.startswith(f"{name.upper()}=") for step in HEAD)


def test_no_package_can_come_from_either_of_two_indexes() -> None:
    commands = [command for stage in STAGES.values() for command in stage.all("RUN")]
    assert any("--index-url" in command for command in commands)
    for text in (*commands, (ROOT / "Makefile").read_text()):
        assert "--extra-index-url" not in text


def test_all_of_cuda_is_that_of_one_package_and_the_driver_it_needs_is_named() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert "nvidia/cuda" not in text
    setting = [text for text in STAGES["cuda"].all("ENV") if "NVIDIA_REQUIRE_CUDA" in text]
    assert 'NVIDIA_REQUIRE_CUDA="cuda>=13.0"' in setting[0]
    assert "R580" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_in_particular_and_says_how_it_is(target: str) -> None:
    stage = STAGES[target]
    assert stage.last("USER") == "10001:0"
    assert stage.last("STOPSIGNAL") == "SIGTERM"
    health = (stage.last("HEALTHCHECK") or "").partition("CMD ")[2]
    program = "/opt/gram/bin/gram-server"
    assert json.loads(health) == [program, "healthcheck"]
    # As lists, or a shell would stand between the signal and the server.
    assert json.loads(stage.last("ENTRYPOINT") or "") == ["/usr/bin/tini", "--", program]
    assert any("tini" in command.split() for command in stage.all("RUN"))
    assert json.loads(stage.last("CMD") or "")[0] == "serve"
    labels = " ".join(stage.all("LABEL"))
    for name in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels


@pytest.mark.parametrize(("target", "extras"), [("cpu", "[otel]"), ("cuda", "[gpu,otel]")])
def test_an_image_with_its_engine_can_record_traces_and_watch_its_gpu(
    target: str, extras: str
) -> None:
    (install,) = STAGES[f"{target}-environment"].all("RUN")[-1:]
    assert install.endswith(f'"$(echo /dist/*.whl){extras}"')
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.strip("[]").split(",")) <= project["optional-dependencies"].keys()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_no_source_no_compiler_cache_and_no_package_lists(target: str) -> None:
    stage = STAGES[target]
    copies = stage.all("COPY")
    assert copies == [f"--from={target}-environment /opt/gram /opt/gram"]
    assert not any("pip install" in command for command in stage.all("RUN"))


def test_no_step_does_what_linters_of_dockerfiles_warn_of() -> None:
    for stage in STAGES.values():
        assert not stage.all("ADD"), "COPY is enough"
        assert not stage.all("MAINTAINER")
        for command in stage.all("RUN"):
            assert "sudo" not in command
            if "apt-get install" in command:
                assert "--no-install-recommends" in command
                assert "-y" in shlex.split(command)
                assert command.index("apt-get update") < command.index("apt-get install")
                assert "rm -rf /var/lib/apt/lists/*" in command
            if " install --quiet" in command:
                assert "-c /src/constraints.txt" in command or "--no-deps" in command
        for place in stage.all("WORKDIR"):
            assert place.startswith("/")
        assert "PIP_NO_CACHE_DIR=1" in " ".join(stage.all("ENV")) or stage.name in TARGETS


@pytest.mark.parametrize(
    ("target", "setting"),
    [("cpu", "HOME=/var/cache/gram"), ("cuda", "TRITON_CACHE_DIR=/var/cache/triton")],
)
def test_what_is_compiled_at_the_start_is_kept_on_a_volume_that_any_user_can_write(
    target: str, setting: str
) -> None:
    stage = STAGES[target]
    folder = setting.partition("=")[2]
    assert json.loads(stage.last("VOLUME") or "") == [folder]
    assert setting in (stage.last("ENV") or "").split()
    (command,) = stage.all("RUN")
    assert f"-m 2770 -o 10001 -g 0 {folder}" in command
    assert " gcc " in command


def test_the_api_image_has_every_dependency_but_those_of_the_model() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(line).name for line in project["dependencies"]} - WORKER_ONLY
    wanted |= {Requirement(line).name for line in project["optional-dependencies"]["otel"]}
    lines = (DOCKER / "api-requirements.txt").read_text().splitlines()
    given = {Requirement(line).name for line in lines if not line.startswith("#")}
    # uvicorn[standard] without what only its reloader and web sockets need.
    assert given == wanted | {"uvloop", "httptools"}


def test_the_build_context_has_what_the_steps_copy_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    for line in lines[1:]:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line


@pytest.mark.parametrize("name", ["api", "worker-cpu", "worker-gpu"])
def test_a_service_of_ours_cannot_write_nor_gain_rights(name: str) -> None:
    ours = service(name)
    assert ours["read_only"] is True
    assert ours["cap_drop"] == ["ALL"]
    assert ours["tmpfs"] == ["/tmp"]
    assert ours["build"]["target"] in TARGETS


def test_services_name_pinned_images_files_that_exist_and_profiles() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    for name, each in compose["services"].items():
        assert "build" in each or re.search(r":v?\d+\.\d+", each["image"]), name
        for volume in each.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).exists(), volume
    profiles = {
        profile for each in compose["services"].values() for profile in each.get("profiles", [])
    }
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
        assert service(name)["profiles"]
    for name in names - {"api"}:
        assert "9100" in service(name)["command"]
    # A port for scrapes alone: with keys, /metrics beside the rest needs one.
    assert service("api")["environment"]["GRAM_SERVER_METRICS_PORT"] == "9100"


def test_nothing_is_published_beyond_this_machine_without_keys() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    for name, each in compose["services"].items():
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


def test_a_service_is_well_by_its_health_check_and_has_the_time_that_stopping_takes() -> None:
    settings = Settings.load(environ=service("api")["environment"])
    for name in ("api", "worker-cpu", "worker-gpu"):
        ours = service(name)
        assert ours["healthcheck"]["test"] == ["CMD", "/opt/gram/bin/gram-server", "healthcheck"]
        grace_s = float(ours["stop_grace_period"].removesuffix("s"))
        drain_s = settings.engine.drain_s + settings.http.drain_delay_s
        assert grace_s >= drain_s + CLOSE_MARGIN_S


def test_the_readme_gives_a_container_the_time_to_drain() -> None:
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
    assert service("prometheus")["ports"][0].endswith(":9090:9090")
    (provider,) = yaml.safe_load((provisioning / "dashboards/gram-server.yaml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in service("grafana")["volumes"]
    home = service("grafana")["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    dashboard = DOCKER / "grafana/dashboards" / Path(home).name
    assert home == f"{folder}/{dashboard.name}"
    panels = json.loads(dashboard.read_text())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels if "targets" in panel} == {source["uid"]}


def test_every_file_is_named_by_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    chart = DOCKER / "kubernetes/gram-server"
    files = {path for path in DOCKER.rglob("*") if path.is_file() and not path.is_symlink()}
    # Templates are rendered all at once, and none of them is without effect; see the chart's tests.
    alone = {path for path in files if not path.is_relative_to(chart / "templates")}
    named = {
        path for path in alone if path.is_relative_to(chart / "examples") or path.name in tests
    }
    assert alone == named


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


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    return Rehearsal(stages=STAGES, context=ROOT, folder=tmp_path_factory.mktemp("images"))


def _size_bytes(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_api_image_answers_its_health_check_writes_nothing_and_ends_at_sigterm(
    rehearsal: Rehearsal, redis_url: str, tmp_path: Path
) -> None:
    root = rehearsal.build("api")
    packages = {path.name for path in (root / "opt/gram/lib").glob("*/site-packages/*")}
    assert "torch" not in packages
    assert _size_bytes((root / "opt/gram").resolve()) < MAX_API_BYTES
    check_image(root, STAGES["api"], tmp_path, GRAM_SERVER_STORE=redis_url)


def check_image(root: Path, stage: Stage, home: Path, **settings: str) -> None:
    """Start what an image would start, ask as its health check does, and stop it."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRAM_SERVER_PORT": str(port),
        **settings,
    }
    before = set((root / "opt/gram").resolve().rglob("*"))
    started = subprocess.Popen(
        entry(stage, root), env=environment, cwd=home, stderr=subprocess.PIPE
    )
    try:
        health = (stage.last("HEALTHCHECK") or "").partition("CMD ")[2]
        command = json.loads(MOVED.sub(lambda match: f"{root}/{match[1]}", health))
        command += ["--pid", str(started.pid)]
        end_s = time.monotonic() + 60.0
        while subprocess.run(command, env=environment, capture_output=True).returncode:
            assert started.poll() is None, started.communicate()[1].decode()
            assert time.monotonic() < end_s, "the health check never passes"
            time.sleep(0.5)
        started.send_signal(signal.SIGTERM)
        assert started.wait(60.0) == 0
        assert set((root / "opt/gram").resolve().rglob("*")) == before
    finally:
        started.kill()
        started.communicate()
