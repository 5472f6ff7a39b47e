"""What in the Helm chart points at something else finds it, and only it; who may talk to whom."""

from typing import Any

import kubernetes_validate
import pytest

from tests.operate.chart import (
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
    selected,
)


@pytest.fixture(params=EXAMPLES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(example(request.param))


def policies(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the rules of the network by the one component that each is about."""
    found = {}
    for policy in of_kind(manifests, "NetworkPolicy"):
        (about,) = selected(policy["spec"]["podSelector"], manifests)
        assert about == component(policy)
        found[about] = policy["spec"]
    return found


def test_a_selector_finds_the_pods_of_its_own_component_alone(manifests: list[Manifest]) -> None:
    owners = of_kind(manifests, "Deployment", "StatefulSet", "PodDisruptionBudget")
    assert len(owners) >= 3
    for owner in owners:
        assert selected(owner["spec"]["selector"], manifests) == {component(owner)}
    for service in of_kind(manifests, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        assert selected(selector, manifests) == {component(service)}


def test_pods_are_spread_among_their_own_kind(manifests: list[Manifest]) -> None:
    for name in ("api", "worker"):
        spread = pod_of(manifests, name)["spec"]["topologySpreadConstraints"]
        assert "kubernetes.io/hostname" in [each["topologyKey"] for each in spread]
        for each in spread:
            assert selected(each["labelSelector"], manifests) == {name}


def test_what_scales_points_at_a_deployment_with_its_component(manifests: list[Manifest]) -> None:
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject"):
        target = named(manifests, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert component(target) == component(scaler)
        spec = scaler["spec"]
        least = spec.get("minReplicas", spec.get("minReplicaCount"))
        assert 1 <= least < spec.get("maxReplicas", spec.get("maxReplicaCount"))


def test_ports_are_named_where_they_are_opened(manifests: list[Manifest]) -> None:
    for pod in pods(manifests):
        if component(pod) == "test":
            continue
        (container,) = pod["spec"]["containers"]
        opened = {port["name"] for port in container["ports"]}
        probes = [container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
        asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
        assert asked <= opened
    for service in of_kind(manifests, "Service"):
        opened = {port["name"] for port in container_of(manifests, component(service))["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened
    for ingress in of_kind(manifests, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            service = named(manifests, "Service", backend["name"])
            assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_claims_secrets_and_accounts_are_made_or_named_by_the_values(
    manifests: list[Manifest],
) -> None:
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    before = {("Secret", "gram-redis"), ("Secret", "gram-keys")}
    for pod in pods(manifests):
        spec = pod["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in made
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in made | before
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made
        for entry in spec["containers"][0].get("env", []):
            if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                assert ("Secret", reference["name"]) in made | before


def test_only_api_and_workers_reach_the_redis() -> None:
    manifests = render(example("trial"))
    redis = policies(manifests)["redis"]
    assert redis["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in redis
    (rule,) = redis["ingress"]
    allowed = [selected(peer["podSelector"], manifests) for peer in rule["from"]]
    assert allowed == [{"api"}, {"worker"}]
    assert all(peer.keys() == {"podSelector"} for peer in rule["from"])


def test_api_and_workers_call_redis_and_names_and_nobody_else(manifests: list[Manifest]) -> None:
    for name in ("api", "worker"):
        policy = policies(manifests)[name]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        names, redis = policy["egress"]
        assert {port["port"] for port in names["ports"]} == {53}
        assert 6379 in {port["port"] for port in redis["ports"]}
        for peer in redis.get("to", []):
            assert "ipBlock" in peer or selected(peer["podSelector"], manifests) == {"redis"}


def test_metrics_are_for_prometheus_and_the_api_for_the_ingress() -> None:
    manifests = render(example("production"))
    found = policies(manifests)
    (worker,) = found["worker"]["ingress"]
    api, metrics = found["api"]["ingress"]
    assert worker == metrics
    assert [port["port"] for port in metrics["ports"]] == ["metrics"]
    assert peers(metrics) == [{"kubernetes.io/metadata.name": "monitoring"}]
    assert [port["port"] for port in api["ports"]] == ["http"]
    assert peers(api) == [{"kubernetes.io/metadata.name": "ingress-nginx"}]
    # The test of a release must get in as well.
    (test,) = [peer["podSelector"] for peer in api["from"] if "podSelector" in peer]
    assert selected(test, manifests) == {"test"}


def peers(rule: dict[str, Any]) -> list[dict[str, str]]:
    return [
        peer["namespaceSelector"]["matchLabels"]
        for peer in rule["from"]
        if "namespaceSelector" in peer
    ]


def test_prometheus_scrapes_api_and_workers_and_no_redis() -> None:
    values = example("trial") | {"monitoring": {"podMonitor": {"enabled": True}}}
    manifests = render(values)
    (monitor,) = of_kind(manifests, "PodMonitor")
    assert selected(monitor["spec"]["selector"], manifests) == {"api", "worker"}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for name in ("api", "worker"):
        ports = container_of(manifests, name)["ports"]
        assert endpoint["port"] in {port["name"] for port in ports}


def test_two_releases_do_not_find_each_others_pods() -> None:
    ours = render(example("trial"))
    for pod in pods(ours):
        pod["metadata"]["labels"]["app.kubernetes.io/instance"] = "another"
    for owner in of_kind(ours, "Deployment", "StatefulSet"):
        assert selected(owner["spec"]["selector"], ours) == set()


def test_any_release_name_makes_a_release_of_its_own() -> None:
    # Without quotes a label would be a number.
    manifests = render(example("trial"), release="2026")
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in manifests} == {
        "2026"
    }
    assert named(manifests, "Service", "2026-gram-server")["spec"]["selector"]
    url = named(manifests, "Secret", "2026-gram-server-redis-url")["stringData"]["url"]
    assert url == "redis://2026-gram-server-redis:6379/0"


EVERYTHING: dict[str, Any] = {
    "fullnameOverride": "puzzles",
    "image": {"pullSecrets": ["registry"]},
    "env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
    "volumeMounts": [{"name": "weights", "mountPath": "/weights", "readOnly": True}],
    "redis": {"bundled": {"enabled": True, "persistence": {"storageClassName": "fast"}}},
    "serviceAccount": {"create": False, "name": "somebody"},
    "networkPolicy": {
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 4318}]}],
    },
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


def test_values_for_special_cases_end_where_they_belong() -> None:
    manifests = render(EVERYTHING)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.27", strict=True)
    assert of_kind(manifests, "ServiceAccount") == []
    pod = pod_of(manifests, "worker")
    spec = pod["spec"]
    assert spec["serviceAccountName"] == "somebody"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert spec[name] == EVERYTHING["worker"][name]
    assert spec["runtimeClassName"] == "nvidia"
    assert pod["metadata"]["labels"]["team"] == "puzzles"
    assert pod["metadata"]["annotations"]["note"] == "7"
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"weights": "weights", "cache": "steps"}
    for name in ("api", "worker"):
        container = container_of(manifests, name)
        assert EVERYTHING["env"][0] in container["env"]
        assert EVERYTHING["volumeMounts"][0] in container["volumeMounts"]
        assert (
            policies(manifests)[name]["egress"][-1] == EVERYTHING["networkPolicy"]["extraEgress"][0]
        )
    (redis,) = of_kind(manifests, "StatefulSet")
    (claim,) = redis["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
