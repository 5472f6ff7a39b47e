"""The Helm chart, rendered by Helm's engine for every documented set of values and at the edges."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import gram_server
import gram_server.settings
from gram_server.api.keys import KeyFile
from tests.operate.chart import (
    BASE,
    CHART,
    EXAMPLES,
    Manifest,
    Rendered,
    component,
    example,
    render,
    rendered_texts,
    secret_text,
)
from tests.operate.dockerfile import read

DOCKER = CHART.parents[1]
_, STAGES = read(DOCKER / "Dockerfile")
METADATA = yaml.safe_load((CHART / "Chart.yaml").read_text())
OLDEST = METADATA["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
OURS = ("api", "worker", "test")
TARGETS = {"gpu": {"api", "cuda"}}
REFUSED = (helm_python.HelmValuesError, helm_python.HelmRenderError)

# Kubernetes' own schemas do not have these kinds of KEDA and of the operator of Prometheus.
TRIGGER = ("serverAddress", "query", "threshold", "ignoreNullValues")
SCALE_DOWN = "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown"
KNOWN = {
    "ScaledObject": {
        *("scaleTargetRef.name", "pollingInterval", "minReplicaCount", "maxReplicaCount"),
        *("fallback.failureThreshold", "fallback.replicas", "triggers.type", "triggers.metricType"),
        *(f"triggers.metadata.{name}" for name in TRIGGER),
        *(f"{SCALE_DOWN}.policies.{name}" for name in ("type", "value", "periodSeconds")),
        f"{SCALE_DOWN}.stabilizationWindowSeconds",
    },
    "PodMonitor": {
        *("selector.matchLabels.*", "podMetricsEndpoints.port", "podMetricsEndpoints.path"),
        *(f"selector.matchExpressions.{name}" for name in ("key", "operator", "values")),
        "podMetricsEndpoints.interval",
    },
    "PrometheusRule": {
        *("groups.name", "groups.rules.labels.*", "groups.rules.annotations.*"),
        *(f"groups.rules.{name}" for name in ("expr", "record", "alert", "for")),
    },
}


def check(manifest: Manifest, *versions: str) -> None:
    # It reads the grammar of addresses when it is imported, which takes a second.
    import kubernetes_validate

    if known := KNOWN.get(manifest["kind"]):
        assert set(leaves(manifest["spec"])) <= known
        return
    for version in (*versions, kubernetes_validate.latest_version()):
        kubernetes_validate.validate(manifest, version, strict=True)


def leaves(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every field that holds no other; labels have any name."""
    if isinstance(value, dict):
        is_free = path.endswith((".matchLabels", ".labels", ".annotations"))
        for name, each in value.items():
            yield from leaves(each, f"{path}.{'*' if is_free else name}")
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, path)
    else:
        yield path.removeprefix(".")


def test_the_chart_is_of_the_servers_version() -> None:
    assert METADATA["version"] == METADATA["appVersion"] == gram_server.__version__


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_warn_of(name: str) -> None:
    report = helm_python.lint(CHART, example(name), strict=True, kube_version=f"v{OLDEST}.0")
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.slow
def test_kubernetes_knows_every_field(manifests: Rendered) -> None:
    assert len(manifests) > 10
    for manifest in manifests:
        check(manifest, OLDEST)


def test_everything_has_a_name_of_its_own_and_says_to_which_release_it_belongs(
    manifests: Rendered,
) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "gram-server"
        assert labels["app.kubernetes.io/version"] == gram_server.__version__


def test_no_container_is_root_or_can_write_or_gain_rights(manifests: Rendered) -> None:
    for pod in manifests.pods():
        spec = pod["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # A service called gram-server would set GRAM_SERVER_PORT, and the server refuses the value.
        assert spec["enableServiceLinks"] is False
        if component(pod) in OURS:
            user = f"{context['runAsUser']}:{context['runAsGroup']}"
            assert {STAGES[target].last("USER") for target in ("api", "cpu", "cuda")} == {user}
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_images_are_targets_of_the_dockerfile_at_one_version(name: str) -> None:
    images = {
        component(pod): pod["spec"]["containers"][0]["image"].rpartition("/")[2]
        for pod in render(example(name)).pods()
    }
    if name == "trial":
        compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
        assert images.pop("redis") == compose["services"]["redis"]["image"]
    assert images.keys() == set(OURS)
    head = f"gram-server:{gram_server.__version__}-"
    targets = {each: image.removeprefix(head) for each, image in images.items()}
    assert set(targets.values()) == TARGETS.get(name, {"api", "cpu"}) <= STAGES.keys()
    assert targets["api"] == targets["test"] == "api"


def test_a_whole_reference_wins_over_repository_and_tag() -> None:
    by_digest = "registry.example.com/gram@sha256:" + "a" * 64
    values = {"image": {"tag": "1", "references": {"cpu": by_digest}}}
    rendered = render(example("cpu") | values)
    assert rendered.container("worker")["image"] == by_digest
    assert rendered.container("api")["image"] == "gram-server:1-api"


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_images_write_to_is_mounted_and_nothing_else_can_be(name: str) -> None:
    rendered = render(example(name))
    volumes = json.loads(STAGES["cuda" if name == "gpu" else "cpu"].last("VOLUME") or "[]")
    for part, places in (("worker", {"/tmp", *volumes}), ("api", {"/tmp"})):
        held = {each["name"]: each for each in rendered.pod(part)["spec"]["volumes"]}
        mounts = rendered.container(part)["volumeMounts"]
        writable = [mount for mount in mounts if not mount.get("readOnly")]
        assert {mount["mountPath"] for mount in writable} == places
        for mount in writable:
            assert held[mount["name"]].keys() & {"emptyDir", "persistentVolumeClaim"}


def test_a_worker_on_a_gpu_asks_for_one() -> None:
    gpu = render(example("gpu")).container("worker")
    assert gpu["resources"]["limits"] == {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1}
    cpu = render(example("cpu")).container("worker")
    assert cpu["resources"]["limits"].keys() == {"cpu", "memory"}
    own_name = {"worker": {"gpu": {"enabled": True, "resource": "nvidia.com/mig-1g.10gb"}}}
    part = render({**BASE, **own_name}).container("worker")
    assert part["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 1


def test_keys_are_given_as_the_file_that_the_server_reads(tmp_path: Path) -> None:
    entry = {"name": "ada", "sha256": "0" * 64, "scopes": ["solve"], "trajectories_per_s": 100}
    rendered = render(example("cpu") | {"api": {"keys": {"entries": [entry]}}})
    secret = rendered.named("Secret", "gram-server-keys")
    (tmp_path / "keys.json").write_text(secret_text(secret, "keys.json"))
    assert KeyFile(tmp_path / "keys.json").find("nobody's") is None
    for values in (rendered, render(example("production"))):
        spec = values.pod("api")["spec"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "keys"]
        assert [item["path"] for item in volume["secret"]["items"]] == ["keys.json"]
        mounts = spec["containers"][0]["volumeMounts"]
        # A file mounted by itself would never change.
        assert ["subPath" in mount for mount in mounts if mount["name"] == "keys"] == [False]


def test_files_are_those_of_the_other_ways_to_run_it() -> None:
    trial, production = render(example("trial")), render(example("production"))
    shipped = trial.named("ConfigMap", "gram-server-redis")["data"]["redis.conf"]
    assert shipped == (DOCKER / "redis.conf").read_text().strip()
    (rules,) = production.of_kind("PrometheusRule")
    assert rules["spec"] == yaml.safe_load(
        (DOCKER / "prometheus/gram-server.rules.yml").read_text()
    )
    dashboard = production.named("ConfigMap", "gram-server-dashboard")["data"]
    source = DOCKER / "grafana/dashboards/gram-server.json"
    assert dashboard == {source.name: source.read_text().strip()}


def test_pods_are_replaced_when_a_setting_or_the_redis_changes() -> None:
    def sums(**values: Any) -> list[dict[str, str]]:
        rendered = render({**BASE, **values})
        return [rendered.pod(name)["metadata"]["annotations"] for name in ("api", "worker")]

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
        ({"settings": {"latency_buckets_ms": [0, 5]}}, "latency_buckets_ms"),
        ({"settings": {"models": [""]}}, "models"),
        ({"settings": {"precision": "fp8"}}, "precision"),
        ({"settings": {"max_width": 65, "max_trajectories": 64}}, "max_width"),
        ({"env": [{"name": "GRAM_SERVER_PORT", "value": "1"}]}, "/env/0/name"),
        ({"redis": {"url": "http://redis"}}, "/redis/url"),
        ({"redis": {}}, "exactly one of"),
        ({"redis": {"url": "redis://r", "bundled": {"enabled": True}}}, "exactly one of"),
        ({"worker": {"resources": {"limits": {"memory": "much"}}}}, "memory"),
        ({"worker": {"autoscaling": {"minReplicas": 0}}}, "minReplicas"),
        *(
            (
                {part: {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}},
                f"{part}.autoscaling.minReplicas",
            )
            for part in ("api", "worker")
        ),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"ingress": {"enabled": True}}, "/ingress/hosts"),
        ({"service": {"port": 70000}}, "/service/port"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(REFUSED, match=re.escape(words)):
        render({**BASE, **values})


def test_a_strategy_without_a_rolling_update_has_nothing_of_the_default() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}
    for strategy in ({"type": "Recreate"}, rolling):
        parts = {part: {"strategy": strategy} for part in ("api", "worker")}
        deployments = render({**BASE, **parts}).of_kind("Deployment")
        assert [each["spec"]["strategy"] for each in deployments] == [strategy] * 2


@pytest.mark.slow
@pytest.mark.parametrize("is_gpu", [False, True])
def test_a_part_without_resources_is_rendered(is_gpu: bool) -> None:
    values = {
        "redis": {"bundled": {"enabled": True, "resources": None}},
        "api": {"resources": None},
        "worker": {"resources": None, "gpu": {"enabled": is_gpu}},
    }
    rendered = render(values)
    for manifest in rendered:
        check(manifest)
    resources = rendered.container("worker")["resources"]
    assert resources == ({"limits": {"nvidia.com/gpu": 1}} if is_gpu else {})


def test_the_notes_say_how_to_reach_it_and_what_is_open() -> None:
    trial, production = (
        rendered_texts(example(name))["gram-server/templates/NOTES.txt"]
        for name in ("trial", "production")
    )
    for words in ("port-forward service/gram-server 8000:80", "for trials", "no API keys"):
        assert words in trial
    assert "https://gram.example.com/" in production
    assert "no API keys" not in production


EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "puzzles",
    "image": {"pullSecrets": ["registry"]},
    "env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
    "volumeMounts": [{"name": "weights", "mountPath": "/weights", "readOnly": True}],
    "redis": {"bundled": {"enabled": True, "persistence": {"storageClassName": "fast"}}},
    "serviceAccount": {"create": False, "name": "somebody"},
    "networkPolicy": {"extraEgress": [{"ports": [{"protocol": "TCP", "port": 4318}]}]},
    "worker": {
        "gpu": {"enabled": True, "runtimeClassName": "nvidia"},
        "cache": {"existingClaim": "steps"},
        "priorityClassName": "low",
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "podLabels": {"team": "puzzles"},
        "podAnnotations": {"note": "7"},
    },
}


@pytest.mark.slow
def test_values_for_special_cases_end_where_they_belong() -> None:
    manifests = render(EVERYTHING)
    for manifest in manifests:
        check(manifest, OLDEST)
    assert manifests.of_kind("ServiceAccount") == []
    pod = manifests.pod("worker")
    spec = pod["spec"]
    given = EVERYTHING["worker"]
    assert spec["serviceAccountName"] == "somebody"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert spec[name] == given[name]
    assert spec["runtimeClassName"] == "nvidia"
    assert given["podLabels"].items() <= pod["metadata"]["labels"].items()
    assert given["podAnnotations"].items() <= pod["metadata"]["annotations"].items()
    volumes = {volume["name"]: volume.get("persistentVolumeClaim") for volume in spec["volumes"]}
    assert (volumes["weights"], volumes["cache"]) == (
        {"claimName": "weights"},
        {"claimName": "steps"},
    )
    for name in ("api", "worker"):
        container = manifests.container(name)
        assert EVERYTHING["env"][0] in container["env"]
        assert EVERYTHING["volumeMounts"][0] in container["volumeMounts"]
        egress = manifests.policies()[name]["egress"]
        assert egress[-1] == EVERYTHING["networkPolicy"]["extraEgress"][0]
    (redis,) = manifests.of_kind("StatefulSet")
    (claim,) = redis["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
