"""What in the Helm chart points at something else finds it, and only it; who may talk to whom."""

from typing import Any

from tests.operate.chart import Rendered, component, example, render


def test_a_selector_finds_the_pods_of_its_own_component_alone(manifests: Rendered) -> None:
    owners = manifests.of_kind("Deployment", "StatefulSet", "PodDisruptionBudget")
    assert len(owners) >= 3
    for owner in owners:
        assert manifests.selected(owner["spec"]["selector"]) == {component(owner)}
    for service in manifests.of_kind("Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        assert manifests.selected(selector) == {component(service)}
    for name in ("api", "worker"):
        spread = manifests.pod(name)["spec"]["topologySpreadConstraints"]
        assert "kubernetes.io/hostname" in [each["topologyKey"] for each in spread]
        assert all(manifests.selected(each["labelSelector"]) == {name} for each in spread)


def test_what_scales_points_at_a_deployment_that_has_no_number_of_its_own(
    manifests: Rendered,
) -> None:
    scaled = set()
    for scaler in manifests.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        spec = scaler["spec"]
        target = manifests.named("Deployment", spec["scaleTargetRef"]["name"])
        assert component(target) == component(scaler)
        scaled.add(component(target))
        least = spec.get("minReplicas", spec.get("minReplicaCount"))
        assert 1 <= least < spec.get("maxReplicas", spec.get("maxReplicaCount"))
    deployments = manifests.of_kind("Deployment")
    assert scaled == {component(each) for each in deployments if "replicas" not in each["spec"]}


def test_ports_are_named_where_they_are_opened(manifests: Rendered) -> None:
    def opened(name: str) -> set[str]:
        return {port["name"] for port in manifests.container(name)["ports"]}

    for pod in manifests.pods():
        if component(pod) != "test":
            (container,) = pod["spec"]["containers"]
            probes = [container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
            asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
            assert asked <= opened(component(pod))
    services = manifests.of_kind("Service")
    for service in services:
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        assert targets <= opened(component(service))
    for monitor in manifests.of_kind("PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert manifests.selected(monitor["spec"]["selector"]) == {"api", "worker"}
        assert all(endpoint["port"] in opened(name) for name in ("api", "worker"))


def test_claims_secrets_and_accounts_are_made_or_named_by_the_values(
    manifests: Rendered,
) -> None:
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    made |= {("Secret", "gram-redis"), ("Secret", "gram-keys")}
    for pod in manifests.pods():
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
    redis = manifests.policies()["redis"]
    assert redis["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in redis
    (rule,) = redis["ingress"]
    assert [manifests.selected(peer.pop("podSelector")) for peer in rule["from"]] == [
        *({"api"}, {"worker"})
    ]
    assert not any(rule["from"])


def test_api_and_workers_call_redis_and_names_and_nobody_else(manifests: Rendered) -> None:
    for name in ("api", "worker"):
        policy = manifests.policies()[name]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        names, redis = policy["egress"]
        assert {port["port"] for port in names["ports"]} == {53}
        assert 6379 in {port["port"] for port in redis["ports"]}
        for peer in redis.get("to", []):
            assert "ipBlock" in peer or manifests.selected(peer["podSelector"]) == {"redis"}


def test_metrics_are_for_prometheus_and_the_api_for_the_ingress() -> None:
    def peers(rule: dict[str, Any]) -> list[dict[str, str]]:
        spaces = [peer["namespaceSelector"] for peer in rule["from"] if "namespaceSelector" in peer]
        return [space["matchLabels"] for space in spaces]

    manifests = render(example("production"))
    found = manifests.policies()
    (worker,) = found["worker"]["ingress"]
    api, metrics = found["api"]["ingress"]
    assert worker == metrics
    assert [port["port"] for port in metrics["ports"]] == ["metrics"]
    assert peers(metrics) == [{"kubernetes.io/metadata.name": "monitoring"}]
    assert [port["port"] for port in api["ports"]] == ["http"]
    assert peers(api) == [{"kubernetes.io/metadata.name": "ingress-nginx"}]
    # The test of a release must get in as well.
    (test,) = [peer["podSelector"] for peer in api["from"] if "podSelector" in peer]
    assert manifests.selected(test) == {"test"}


def test_any_release_name_makes_a_release_of_its_own() -> None:
    # Without quotes a label would be a number.
    manifests = render(example("trial"), release="2026")
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in manifests} == {
        "2026"
    }
    url = manifests.named("Secret", "2026-gram-server-redis-url")["stringData"]["url"]
    assert url == "redis://2026-gram-server-redis:6379/0"
    ours = render(example("trial"))
    for owner in ours.of_kind("Deployment", "StatefulSet"):
        assert manifests.selected(owner["spec"]["selector"]) == set()
