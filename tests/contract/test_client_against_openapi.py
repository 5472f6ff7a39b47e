"""The client against the OpenAPI document that the server publishes, and nothing else of it."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

import gram_client
from gram_client import Client, _options
from gram_client._calls import Flow
from gram_client._events import EVENT_KINDS
from gram_client._requests import LOCAL_OPTIONS, Request
from gram_client._server_models import Problem
from gram_client._stream import EventStreamState
from tests.server.api.test_openapi import DOCUMENT

SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

READ: dict[str, type[BaseModel]] = {
    "BestAttempt": gram_client.BestAttempt,
    "Board": gram_client.Board,
    "Completeness": gram_client.Completeness,
    "Failure": gram_client.JobFailure,
    "First": gram_client.First,
    "GenerateResponse": gram_client.GenerateResult,
    "JobDocument": gram_client.Job,
    "JobPage": gram_client.JobPage,
    "JobSummary": gram_client.JobSummary,
    "ModelInfo": gram_client.ModelInfo,
    "ProblemDocument": Problem,
    "ProblemIssue": gram_client.Issue,
    "Progress": gram_client.BatchProgress,
    "PuzzleInfo": gram_client.PuzzleInfo,
    "Sight": gram_client.TrajectoryView,
    "Solution": gram_client.Solution,
    "SolveResponse": gram_client.SolveResult,
    "Usage": gram_client.Usage,
    "Violation": gram_client.Violation,
}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def words_of(hint: Any) -> set[str]:
    """Return the words that a type allows, alone or beside other values."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {word for part in get_args(hint) for word in words_of(part)}


def words_in(schema: dict[str, Any]) -> set[str]:
    """Return the words that a schema allows, alone or beside other values."""
    if "$ref" in schema:
        return words_in(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    parts = schema.get("anyOf", ())
    return {*schema.get("enum", ()), *(word for part in parts for word in words_in(part))}


@pytest.mark.parametrize("name", sorted(READ))
def test_a_model_has_the_properties_of_its_schema(name: str) -> None:
    # The puzzle is put beside its answer by the client.
    mine = {field: info for field, info in READ[name].model_fields.items() if field != "posted"}
    fields, properties = mine, SCHEMAS[name]["properties"]
    assert set(fields) == set(properties)
    needed = {field for field, info in fields.items() if info.is_required()}
    assert needed <= set(SCHEMAS[name]["required"])
    for field, info in fields.items():
        assert words_of(info.annotation) in (set(), words_in(properties[field]))


@pytest.mark.parametrize(
    ("event", "name", "renamed"),
    [
        (gram_client.Accepted, "AcceptedEvent", {"job_id"}),
        (gram_client.Progress, "ProgressEvent", {"id"}),
        (gram_client.PartEnded, "PartEndedEvent", {"job_id"}),
    ],
)
def test_an_event_has_the_properties_of_its_data(
    event: type[BaseModel], name: str, renamed: set[str]
) -> None:
    # The id of an event is its own; that of its job has another name.
    assert set(event.model_fields) - renamed == set(SCHEMAS[name]["properties"])


def test_every_kind_of_event_is_read() -> None:
    content = DOCUMENT["paths"]["/solve"]["post"]["responses"]["200"]["content"]
    events = content["text/event-stream"]["schema"]["x-events"]
    assert set(events) == {*EVENT_KINDS, "error"}
    assert all(event["$ref"].rsplit("/", 1)[1] in SCHEMAS for event in events.values())


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/solve", _options.StreamOptions),
        ("POST", "/generate", _options.GenerateOptions),
        ("POST", "/jobs", _options.JobOptions),
    ],
)
def test_the_options_of_a_call_are_the_parameters_of_its_operation(
    method: str, path: str, options: Any
) -> None:
    operation = DOCUMENT["paths"][path][method.lower()]
    described = [known for known in operation["parameters"] if known["in"] == "query"]
    # A puzzle names its family itself, or is recognised by its form.
    parameters = {known["name"]: known for known in described if known["name"] != "puzzle"}
    hints = get_type_hints(options)
    assert set(hints) - LOCAL_OPTIONS == set(parameters)
    for name, parameter in parameters.items():
        assert words_of(hints[name]) == words_in(parameter["schema"])


class Asking(Client):
    """A client whose calls return their first request, and send none."""

    def _run(self, flow: Flow[Any]) -> Any:
        return next(flow)

    def _follow(self, stream: EventStreamState) -> Any:
        return stream.request()


def test_every_call_of_the_client_is_an_operation_with_its_parameters() -> None:
    client = Asking()
    requests: list[Any] = [
        client.solve("1", width=1),
        client.generate("sudoku", count=1),
        client.jobs.create("1", width=1),
        client.jobs.create_batch(["1"], width=1),
        client.jobs.get("x"),
        client.jobs.wait("x"),
        client.jobs.cancel("x"),
        client.jobs.list(limit=5, cursor="c"),
        client.puzzles(),
        client.models(),
        client.health(),
        client.solve_stream("1", show_trajectories=1),
        client.jobs.events("x", after=3),
    ]
    known = {(method, path): operation for method, path, operation in operations()}
    for request in requests:
        assert isinstance(request, Request)
        operation = known[request.method, request.path.replace("/x", "/{job_id}")]
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(request.params) <= named
        sent = set(request.headers) & {"Idempotency-Key", "Last-Event-ID"}
        assert sent <= named
