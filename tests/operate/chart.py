"""Renders the Helm chart with Helm's own engine, and reads what comes out."""

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "docker/kubernetes/gram-server"
EXAMPLES = sorted(path.stem.removeprefix("values-") for path in CHART.glob("examples/*.yaml"))
RELEASE = "gram-server"
RENDERED: dict[tuple[str, str], Mapping[str, str]] = {}
BASE: Mapping[str, Any] = {"redis": {"url": "redis://r"}}

Manifest = dict[str, Any]


def example(name: str) -> dict[str, Any]:
    """Return one of the documented sets of values."""
    return dict(yaml.safe_load((CHART / f"examples/values-{name}.yaml").read_text()))


def rendered_texts(values: Mapping[str, Any], release: str = RELEASE) -> Mapping[str, str]:
    """Return what each template makes of values, which the chart's schema accepts."""
    key = (json.dumps(values), release)
    if key not in RENDERED:
        with helm_python.Chart.load(CHART) as chart:
            RENDERED[key] = dict(chart.render(dict(values), name=release, namespace="puzzles"))
    return RENDERED[key]


def render(values: Mapping[str, Any], release: str = RELEASE) -> "Rendered":
    texts = rendered_texts(values, release)
    documents = (yaml.safe_load_all(text) for name, text in texts.items() if name.endswith(".yaml"))
    return Rendered(manifest for several in documents for manifest in several if manifest)


class Rendered(list[Manifest]):
    """What a release would be made of."""

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [manifest for manifest in self if manifest["kind"] in kinds]

    def named(self, kind: str, name: str) -> Manifest:
        (found,) = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found

    def pods(self) -> list[Manifest]:
        """Return metadata and spec of every pod that there will be."""
        owners = self.of_kind("Deployment", "StatefulSet")
        return [*self.of_kind("Pod"), *(owner["spec"]["template"] for owner in owners)]

    def pod(self, name: str) -> Manifest:
        (found,) = [pod for pod in self.pods() if component(pod) == name]
        return found

    def container(self, name: str) -> Manifest:
        (found,) = self.pod(name)["spec"]["containers"]
        return dict(found)

    def selected(self, selector: Manifest) -> set[str]:
        """Return the components of the pods that a selector finds."""
        return {
            component(pod) for pod in self.pods() if selects(selector, pod["metadata"]["labels"])
        }

    def policies(self) -> dict[str, Manifest]:
        """Return the rules of the network by the one component that each is about."""
        found = {}
        for policy in self.of_kind("NetworkPolicy"):
            (about,) = self.selected(policy["spec"]["podSelector"])
            assert about == component(policy)
            found[about] = policy["spec"]
        return found

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment that the container of a component is given."""
        container = self.container(name)
        values: dict[str, str] = {}
        for source in container.get("envFrom", []):
            values |= self.named("ConfigMap", source["configMapRef"]["name"])["data"]
        for entry in container.get("env", []):
            values[entry["name"]] = self._value(entry, container)
        assert all(isinstance(value, str) for value in values.values()), values
        return values

    def _value(self, entry: Manifest, container: Manifest) -> str:
        if "value" in entry:
            return str(entry["value"])
        source = entry["valueFrom"]
        if "resourceFieldRef" in source:
            part, resource = source["resourceFieldRef"]["resource"].split(".")
            return str(math.ceil(float(container["resources"][part][resource])))
        reference = source["secretKeyRef"]
        made = {each["metadata"]["name"]: each for each in self.of_kind("Secret")}
        if reference["name"] not in made:
            # Someone else's secret, which is there before the release.
            return "redis://elsewhere:6379/0"
        return secret_text(made[reference["name"]], reference["key"])


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def secret_text(secret: Manifest, key: str) -> str:
    if key in secret.get("stringData", {}):
        return str(secret["stringData"][key])
    return base64.b64decode(secret["data"][key]).decode()


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a selector of labels finds an object with these."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    wanted = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in wanted)
    return all(labels.get(each["key"]) in each["values"] for each in wanted)
