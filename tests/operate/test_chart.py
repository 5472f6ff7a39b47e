"""The Helm chart, rendered by Helm's engine for every documented set of values."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import yaml

import gram_server
import gram_server.settings
from gram_server.api.keys import KeyFile
from tests.operate.chart import (
    CHART,
    EXAMPLES,
    Manifest,
    component,
    container_of,
    example,
    named,
    of_kind,
    pod_of,
    pods,
    render,
    rendered_texts,
    secret_text,
)
from tests.operate.custom_resources import SCHEMAS
from tests.operate.dockerfile import read

DOCKER = CHART.parents[1]
_, STAGES = read(DOCKER / "Dockerfile")
METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
OLDEST = METADATA["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
NEWEST = kubernetes_validate.latest_version()
OURS = ("api", "worker", "test")
TARGETS = {
    "trial": {"api", "cpu"},
    "cpu": {"api", "cpu"},
    "gpu": {"api", "cuda"},
    "production": {"api", "cpu"},
}


@pytest.fixture(params=EXAMPLES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(example(request.param))


def check(manifest: Manifest, version: str) -> None:
    if schema := SCHEMAS.get(manifest["kind"]):
        jsonschema.validate(manifest, schema)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_chart_is_of_the_servers_version() -> None:
    assert METADATA["version"] == METADATA["appVersion"] == gram_server.__version__


def test_every_documented_set_of_values_is_here_and_in_the_readme() -> None:
    files = {path.name for path in (CHART / "examples").iterdir()}
    assert files == {f"values-{name}.yaml" for name in EXAMPLES}
    readme = (CHART / "README.md").read_text()
    assert files == set(re.findall(r"\]\(examples/([\w.-]+)\)", readme))


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_warn_of(name: str) -> None:
    report = helm_python.lint(CHART, example(name), strict=True, kube_version=f"v{OLDEST}.0")
    assert report["errors"] == []
    found = [each["error"] for each in report["messages"]]
    assert found == ["icon is recommended"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(manifests: list[Manifest], version: str) -> None:
    assert len(manifests) > 10
    for manifest in manifests:
        check(manifest, version)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet")),
        ("NetworkPolicy", ("spec", "ingress", 0)),
        ("HorizontalPodAutoscaler", ("spec", "metrics", 0, "resource", "target")),
        ("ScaledObject", ("spec", "triggers", 0)),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0)),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0)),
    ],
)
def test_a_field_that_kubernetes_does_not_know_would_be_found(
    kind: str, path: tuple[str | int, ...]
) -> None:
    manifest = copy.deepcopy(of_kind(render(example("production")), kind)[0])
    check(manifest, NEWEST)
    place: Any = manifest
    for step in path:
        place = place[step]
    place["portt"] = "http"
    with pytest.raises(jsonschema.ValidationError, match="portt"):
        check(manifest, NEWEST)


def test_nothing_is_made_twice_and_everything_says_to_which_release_it_belongs(
    manifests: list[Manifest],
) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "gram-server"
        assert labels["app.kubernetes.io/version"] == gram_server.__version__


def test_no_container_is_root_or_can_write_or_gain_rights(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_our_pods_run_as_the_user_of_the_images(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        if component(pod) in OURS:
            context = pod["spec"]["securityContext"]
            user = f"{context['runAsUser']}:{context['runAsGroup']}"
            assert {STAGES[target].last("USER") for target in ("api", "cpu", "cuda")} == {user}


def test_no_service_leaves_settings_in_our_environment(manifests: list[Manifest]) -> None:
    # A service called gram-server would set GRAM_SERVER_PORT, and the server refuses the value.
    assert [each["metadata"]["name"] for each in of_kind(manifests, "Service")][-1] == "gram-server"
    for pod in pods(manifests):
        assert pod["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", EXAMPLES)
def test_images_are_targets_of_the_dockerfile_at_one_version(name: str) -> None:
    rendered = render(example(name))
    images = {
        component(pod): pod["spec"]["containers"][0]["image"].rpartition("/")[2]
        for pod in pods(rendered)
    }
    if name == "trial":
        compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
        assert images.pop("redis") == compose["services"]["redis"]["image"]
    assert images.keys() == set(OURS)
    head = f"gram-server:{gram_server.__version__}-"
    targets = {each: image.removeprefix(head) for each, image in images.items()}
    assert set(targets.values()) == TARGETS[name] <= STAGES.keys()
    assert targets["api"] == targets["test"] == "api"


def test_a_whole_reference_wins_over_repository_and_tag() -> None:
    by_digest = "registry.example.com/gram@sha256:" + "a" * 64
    values = {"image": {"tag": "1", "references": {"cpu": by_digest}}}
    rendered = render(example("cpu") | values)
    assert container_of(rendered, "worker")["image"] == by_digest
    assert container_of(rendered, "api")["image"] == "gram-server:1-api"


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_images_write_to_is_mounted_and_nothing_else_can_be(name: str) -> None:
    rendered = render(example(name))
    target = "cuda" if name == "gpu" else "cpu"
    volumes = json.loads(STAGES[target].last("VOLUME"))
    assert set(writable(rendered, "worker")) == {"/tmp", *volumes}
    assert set(writable(rendered, "api")) == {"/tmp"}


def writable(manifests: list[Manifest], name: str) -> Iterator[str]:
    spec = pod_of(manifests, name)["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container_of(manifests, name)["volumeMounts"]:
        volume = volumes[mount["name"]]
        if not mount.get("readOnly"):
            assert "emptyDir" in volume or "persistentVolumeClaim" in volume
            yield mount["mountPath"]


def test_a_worker_on_a_gpu_asks_for_one() -> None:
    gpu = container_of(render(example("gpu")), "worker")
    assert gpu["resources"]["limits"] == {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1}
    cpu = container_of(render(example("cpu")), "worker")
    assert cpu["resources"]["limits"].keys() == {"cpu", "memory"}
    own_name = {"worker": {"gpu": {"enabled": True, "resource": "nvidia.com/mig-1g.10gb"}}}
    part = container_of(render({"redis": {"url": "redis://r"}} | own_name), "worker")
    assert part["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 1


def test_what_scales_by_itself_has_no_number_of_its_own(manifests: list[Manifest]) -> None:
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject")
    }
    deployments = of_kind(manifests, "Deployment")
    assert scaled == {
        each["metadata"]["name"] for each in deployments if "replicas" not in each["spec"]
    }


def test_an_ingress_passes_events_on_and_waits_for_the_longest_request() -> None:
    (ingress,) = of_kind(render(example("production")), "Ingress")
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    annotations = ingress["metadata"]["annotations"]
    assert annotations[prefix + "buffering"] == "off"
    settings = gram_server.settings.HttpConfig()
    for name in ("read-timeout", "send-timeout"):
        assert float(annotations[prefix + name]) > settings.max_deadline_ms / 1e3
    assert annotations[prefix + "body-size"] == f"{settings.max_body_bytes >> 20}m"


def test_keys_are_given_as_the_file_that_the_server_reads(tmp_path: Path) -> None:
    entry = {"name": "ada", "sha256": "0" * 64, "scopes": ["solve"], "trajectories_per_s": 100}
    rendered = render(example("cpu") | {"api": {"keys": {"entries": [entry]}}})
    secret = named(rendered, "Secret", "gram-server-keys")
    (tmp_path / "keys.json").write_text(secret_text(secret, "keys.json"))
    assert KeyFile(tmp_path / "keys.json").find("nobody's") is None
    for values in (rendered, render(example("production"))):
        spec = pod_of(values, "api")["spec"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "keys"]
        assert [item["path"] for item in volume["secret"]["items"]] == ["keys.json"]
        (mount,) = [
            each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "keys"
        ]
        # A file mounted by itself would never change.
        assert "subPath" not in mount


def test_files_are_those_of_the_other_ways_to_run_it_and_lie_in_the_chart() -> None:
    assert not [path for path in CHART.rglob("*") if path.is_symlink()]
    trial, production = render(example("trial")), render(example("production"))
    shipped = named(trial, "ConfigMap", "gram-server-redis")["data"]["redis.conf"]
    assert shipped == (DOCKER / "redis.conf").read_text().strip()
    (rules,) = of_kind(production, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load(
        (DOCKER / "prometheus/gram-server.rules.yml").read_text()
    )
    dashboard = named(production, "ConfigMap", "gram-server-dashboard")["data"]
    assert dashboard == {
        "gram-server.json": (DOCKER / "grafana/dashboards/gram-server.json").read_text().strip()
    }


def test_no_template_is_without_effect() -> None:
    entry = {"name": "ada", "sha256": "0" * 64, "scopes": ["solve"]}
    sets = [example(name) for name in EXAMPLES]
    sets.append({"redis": {"url": "redis://r"}, "api": {"keys": {"entries": [entry]}}})
    texts = [rendered_texts(values).items() for values in sets]
    useful = {name for several in texts for name, text in several if text.strip()}
    assert useful == {name for several in texts for name, _ in several}
    templates = {path.name for path in (CHART / "templates").rglob("*") if path.suffix != ".tpl"}
    assert templates - {"tests"} == {name.rpartition("/")[2] for name in useful}


def test_pods_are_replaced_when_a_setting_or_the_redis_changes() -> None:
    def sums(**values: Any) -> list[dict[str, str]]:
        rendered = render({"redis": {"url": "redis://r"}} | values)
        return [pod_of(rendered, name)["metadata"]["annotations"] for name in ("api", "worker")]

    before = sums()
    for after in (sums(settings={"lease_s": 20}), sums(redis={"url": "redis://s"})):
        assert all(old != new for old, new in zip(before, after, strict=True))
    assert sums(api={"replicas": 5}) == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api": {"replicas": 0}}, "/api/replicas"),
        ({"api": {"replica": 3}}, "replica"),
        ({"settings": {"num_slot": 64}}, "num_slot"),
        ({"settings": {"num_slots": "many"}}, "/settings/num_slots"),
        ({"settings": {"port": 9000}}, "port"),
        ({"settings": {"drain_s": None}}, "drain_s"),
        ({"settings": {"log_level": "loud"}}, "/settings/log_level"),
        ({"env": [{"name": "GRAM_SERVER_PORT", "value": "1"}]}, "/env/0/name"),
        ({"redis": {"url": "http://redis"}}, "/redis/url"),
        ({"worker": {"resources": {"limits": {"memory": "much"}}}}, "memory"),
        ({"worker": {"autoscaling": {"minReplicas": 0}}}, "minReplicas"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"ingress": {"enabled": True}}, "/ingress/hosts"),
        ({"service": {"port": 70000}}, "/service/port"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(words)):
        render({"redis": {"url": "redis://r"}} | values)


@pytest.mark.parametrize(
    "redis", [{}, {"url": "redis://r", "bundled": {"enabled": True}}], ids=["none", "two"]
)
def test_exactly_one_redis_must_be_named(redis: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmRenderError, match="exactly one of"):
        render({"redis": redis})


def test_every_value_that_the_schema_allows_is_shown_with_its_default() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    allowed = set(paths_of(schema, schema["definitions"]))
    assert {path for path in allowed if path not in paths_in(VALUES)} == {"global"}


def paths_of(schema: dict[str, Any], definitions: dict[str, Any], head: str = "") -> Iterator[str]:
    """Yield every value that a schema names, down to objects of Kubernetes and to settings."""
    for name, each in schema.get("properties", {}).items():
        yield head + name
        if name in ("settings", "resources", "probes"):
            continue
        reference = each.get("$ref", "").removeprefix("#/definitions/")
        yield from paths_of(definitions.get(reference, each), definitions, f"{head}{name}.")


def paths_in(values: dict[str, Any], head: str = "") -> set[str]:
    found = {head + name for name in values}
    for name, each in values.items():
        if isinstance(each, dict):
            found |= paths_in(each, f"{head}{name}.")
    return found


def test_the_notes_say_how_to_reach_it_and_what_is_open() -> None:
    trial = rendered_texts(example("trial"))["gram-server/templates/NOTES.txt"]
    assert "port-forward service/gram-server 8000:80" in trial
    assert "for trials" in trial
    assert "no API keys" in trial
    production = rendered_texts(example("production"))["gram-server/templates/NOTES.txt"]
    assert "https://gram.example.com/" in production
    assert "no API keys" not in production
