"""Values of the chart at their edges: what the server or Kubernetes would refuse, Helm refuses."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python
import pytest
import yaml

from gram_server.app import create_app
from gram_server.errors import ConfigError
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import Settings
from tests.operate.chart import CHART, environment, example, named, render
from tests.operate.test_chart import NEWEST, check

BASE: dict[str, Any] = {"redis": {"url": "redis://r"}}
REFUSED = (helm_python.HelmValuesError, helm_python.HelmRenderError)
SCHEMA = yaml.safe_load((CHART / "values.schema.json").read_text())
EDGES: Mapping[str, tuple[object, ...]] = {
    "integer": (-1, 0, 1, 1 << 20),
    "number": (-1, -0.5, 0, 0.5, 1e6),
    "string": ("", "a b", "a", "::1"),
    "boolean": (True, False),
}


def kind_of(declared: Mapping[str, Any]) -> str:
    if "$ref" in declared:
        declared = SCHEMA["definitions"][declared["$ref"].rpartition("/")[2]]
    return str(declared.get("type", "string"))


def edges() -> Iterator[tuple[str, object]]:
    for name, declared in SCHEMA["properties"]["settings"]["properties"].items():
        kind = kind_of(declared)
        if kind != "array" and name not in ("log_level", "precision"):
            for value in EDGES[kind]:
                yield name, value


def server_takes(name: str, value: object) -> bool:
    text = "true" if value is True else "false" if value is False else str(value)
    try:
        Settings.load(environ={f"GRAM_SERVER_{name.upper()}": text})
    except ConfigError:
        return False
    return True


@pytest.mark.slow
def test_the_chart_takes_a_setting_exactly_where_the_server_does() -> None:
    verdicts = {}
    for name, value in edges():
        try:
            render({**BASE, "settings": {name: value}})
            is_taken = True
        except REFUSED:
            is_taken = False
        if is_taken != server_takes(name, value):
            verdicts[name, value] = is_taken
    assert verdicts == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"latency_buckets_ms": [0, 5]},
        {"latency_buckets_ms": [-1]},
        {"models": [""]},
        {"precision": "fp8"},
        {"log_level": "loud"},
        {"max_width": 65, "max_trajectories": 64},
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(REFUSED):
        render({**BASE, "settings": settings})


def test_numbers_that_do_not_fit_together_are_refused_with_their_names() -> None:
    for part in ("api", "worker"):
        scaling = {"enabled": True, "minReplicas": 5, "maxReplicas": 4}
        with pytest.raises(helm_python.HelmRenderError, match=f"{part}.autoscaling.minReplicas"):
            render({**BASE, part: {"autoscaling": scaling}})


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_strategy_without_a_rolling_update_has_nothing_of_the_default(part: str) -> None:
    rendered = render({**BASE, part: {"strategy": {"type": "Recreate"}}})
    deployment = named(rendered, "Deployment", f"gram-server-{part}")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    check(deployment, NEWEST)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}
    deployment = named(
        render({**BASE, part: {"strategy": rolling}}), "Deployment", f"gram-server-{part}"
    )
    assert deployment["spec"]["strategy"] == rolling


@pytest.mark.parametrize("is_gpu", [False, True])
def test_a_part_without_resources_is_rendered(is_gpu: bool) -> None:
    values = {
        "redis": {"bundled": {"enabled": True, "resources": None}},
        "api": {"resources": None},
        "worker": {"resources": None, "gpu": {"enabled": is_gpu}},
    }
    rendered = render(values)
    for manifest in rendered:
        check(manifest, NEWEST)
    (container,) = named(rendered, "Deployment", "gram-server-worker")["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"] == ({"limits": {"nvidia.com/gpu": 1}} if is_gpu else {})


def sections(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and not path:
            yield from sections(value, (*path, name))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_value_that_is_taken_away_trips_a_template() -> None:
    tripped = {}
    for path in sections(yaml.safe_load((CHART / "values.yaml").read_text())):
        values = copy.deepcopy(example("trial"))
        place = values
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = None
        try:
            render(values)
        except helm_python.HelmValuesError:
            # The schema says in a sentence which value is missing.
            continue
        except helm_python.HelmRenderError as error:
            # A template that refuses values says so in a sentence too.
            if "execution error at" not in str(error):
                tripped[path] = error
    assert tripped == {}


def test_the_ingress_leads_every_route_of_the_api_to_it() -> None:
    rendered = render(example("production"))
    ingress = named(rendered, "Ingress", "gram-server")
    rules = ingress["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["gram.example.com"]
    environ = environment(rendered, "api")
    environ.pop("GRAM_SERVER_KEYS")
    settings = Settings.load(environ=environ)
    app = create_app(settings, store=MemoryStore(settings.queue))
    paths = {*app.openapi()["paths"], "/", "/docs", "/openapi.json", "/page/app.js"}
    for rule in rules:
        prefixes = [each["path"] for each in rule["http"]["paths"] if each["pathType"] == "Prefix"]
        unreached = {
            path for path in paths if not any(path.startswith(prefix) for prefix in prefixes)
        }
        assert unreached == set()
        for each in rule["http"]["paths"]:
            assert each["backend"]["service"] == {"name": "gram-server", "port": {"name": "http"}}
