"""What in the Helm chart points at something else finds it, and only it; who may talk to whom."""

from typing import Any

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
    policies,
    render,
    selected,
)


@pytest.fixture(params=EXAMPLES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(example(request.param))


def test_a_selector_finds_the_pods_of_its_own_component_alone(manifests: list[Manifest]) -> None:
    owners = of_kind(manifests, "Deployment", "StatefulSet", "PodDisruptionBudget")
    assert len(owners) >= 3
    for owner in owners:
        assert selected(owner["spec"]["selector"], manifests) == {component(owner)}
    for service in of_kind(manifests, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        assert selected(selector, manifests) == {component(service)}
    for name in ("api", "worker"):
        spread = pod_of(manifests, name)["spec"]["topologySpreadConstraints"]
        assert "kubernetes.io/hostname" in [each["topologyKey"] for each in spread]
        assert all(selected(each["labelSelector"], manifests) == {name} for each in spread)


def test_what_scales_points_at_a_deployment_that_has_no_number_of_its_own(
    manifests: list[Manifest],
) -> None:
    scaled = set()
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject"):
        spec = scaler["spec"]
        target = named(manifests, "Deployment", spec["scaleTargetRef"]["name"])
        assert component(target) == component(scaler)
        scaled.add(component(target))
        least = spec.get("minReplicas", spec.get("minReplicaCount"))
        assert 1 <= least < spec.get("maxReplicas", spec.get("maxReplicaCount"))
    deployments = of_kind(manifests, "Deployment")
    assert scaled == {component(each) for each in deployments if "replicas" not in each["spec"]}


def test_ports_are_named_where_they_are_opened(manifests: list[Manifest]) -> None:
    def opened(name: str) -> set[str]:
        return {port["name"] for port in container_of(manifests, name)["ports"]}

    for pod in pods(manifests):
        if component(pod) != "test":
            (container,) = pod["spec"]["containers"]
            probes = [container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
            asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
            assert asked <= opened(component(pod))
    services = of_kind(manifests, "Service")
    for service in services:
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        assert targets <= opened(component(service))
    for monitor in of_kind(manifests, "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert selected(monitor["spec"]["selector"], manifests) == {"api", "worker"}
        assert all(endpoint["port"] in opened(name) for name in ("api", "worker"))


def test_claims_secrets_and_accounts_are_made_or_named_by_the_values(
    manifests: list[Manifest],
) -> None:
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    made |= {("Secret", "gram-redis"), ("Secret", "gram-keys")}
    for pod in pods(manifests):
        spec = pod["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in made
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in made
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made
        for entry in spec["containers"][0].get("env", []):
            if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                assert ("Secret", reference["name"]) in made


def test_only_api_and_workers_reach_the_redis() -> None:
    manifests = render(example("trial"))
    redis = policies(manifests)["redis"]
    assert redis["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in redis
    (rule,) = redis["ingress"]
    assert [selected(peer.pop("podSelector"), manifests) for peer in rule["from"]] == [
        *({"api"}, {"worker"})
    ]
    assert not any(rule["from"])


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
    def peers(rule: dict[str, Any]) -> list[dict[str, str]]:
        spaces = [peer["namespaceSelector"] for peer in rule["from"] if "namespaceSelector" in peer]
        return [space["matchLabels"] for space in spaces]

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


def test_any_release_name_makes_a_release_of_its_own() -> None:
    # Without quotes a label would be a number.
    manifests = render(example("trial"), release="2026")
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in manifests} == {
        "2026"
    }
    url = named(manifests, "Secret", "2026-gram-server-redis-url")["stringData"]["url"]
    assert url == "redis://2026-gram-server-redis:6379/0"
    ours = render(example("trial"))
    for owner in of_kind(ours, "Deployment", "StatefulSet"):
        assert selected(owner["spec"]["selector"], manifests) == set()
