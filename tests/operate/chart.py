"""Renders the Helm chart with Helm's own engine, and reads what comes out."""

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "docker/kubernetes/gram-server"
EXAMPLES = sorted(path.stem.removeprefix("values-") for path in CHART.glob("examples/*.yaml"))
RELEASE = "gram-server"
BASE: Mapping[str, Any] = {"redis": {"url": "redis://r"}}

Manifest = dict[str, Any]


def example(name: str) -> dict[str, Any]:
    """Return one of the documented sets of values."""
    return dict(yaml.safe_load((CHART / f"examples/values-{name}.yaml").read_text()))


def rendered_texts(values: Mapping[str, Any], release: str = RELEASE) -> Mapping[str, str]:
    """Return what each template makes of values, which the chart's schema accepts."""
    return _rendered(json.dumps(values), release)


@cache
def _rendered(values: str, release: str) -> Mapping[str, str]:
    with helm_python.Chart.load(CHART) as chart:
        return dict(chart.render(json.loads(values), name=release, namespace="puzzles"))


def render(values: Mapping[str, Any], release: str = RELEASE) -> list[Manifest]:
    texts = rendered_texts(values, release)
    documents = (yaml.safe_load_all(text) for name, text in texts.items() if name.endswith(".yaml"))
    return [manifest for several in documents for manifest in several if manifest]


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: Sequence[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def pods(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield metadata and spec of every pod that there will be."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest
        elif manifest["kind"] in ("Deployment", "StatefulSet"):
            yield manifest["spec"]["template"]


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def pod_of(manifests: Sequence[Manifest], name: str) -> Manifest:
    (found,) = [pod for pod in pods(manifests) if component(pod) == name]
    return found


def container_of(manifests: Sequence[Manifest], name: str) -> Manifest:
    (found,) = pod_of(manifests, name)["spec"]["containers"]
    return dict(found)


def environment(manifests: Sequence[Manifest], name: str) -> dict[str, str]:
    """Return the environment that the container of a component is given."""
    container = container_of(manifests, name)
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        values |= named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container.get("env", []):
        values[entry["name"]] = _value(entry, container, manifests)
    assert all(isinstance(value, str) for value in values.values()), values
    return values


def _value(entry: Manifest, container: Manifest, manifests: Sequence[Manifest]) -> str:
    if "value" in entry:
        return str(entry["value"])
    source = entry["valueFrom"]
    if "resourceFieldRef" in source:
        part, resource = source["resourceFieldRef"]["resource"].split(".")
        return str(math.ceil(float(container["resources"][part][resource])))
    reference = source["secretKeyRef"]
    made = {each["metadata"]["name"]: each for each in of_kind(manifests, "Secret")}
    if reference["name"] not in made:
        # Someone else's secret, which is there before the release.
        return "redis://elsewhere:6379/0"
    return secret_text(made[reference["name"]], reference["key"])


def policies(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    """Return the rules of the network by the one component that each is about."""
    found = {}
    for policy in of_kind(manifests, "NetworkPolicy"):
        (about,) = selected(policy["spec"]["podSelector"], manifests)
        assert about == component(policy)
        found[about] = policy["spec"]
    return found


def secret_text(secret: Manifest, key: str) -> str:
    if key in secret.get("stringData", {}):
        return str(secret["stringData"][key])
    return base64.b64decode(secret["data"][key]).decode()


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a selector of labels finds an object with these."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for wanted in selector.get("matchExpressions", []):
        assert wanted["operator"] == "In"
        if labels.get(wanted["key"]) not in wanted["values"]:
            return False
    return True


def selected(selector: Manifest, manifests: Sequence[Manifest]) -> set[str]:
    """Return the components of the pods that a selector finds."""
    return {
        component(pod) for pod in pods(manifests) if selects(selector, pod["metadata"]["labels"])
    }
