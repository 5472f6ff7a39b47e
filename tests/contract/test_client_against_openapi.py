"""The client against the OpenAPI document that the server publishes, and nothing else of it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import gram_client
from gram_client import _protocol
from gram_client._course import READERS
from gram_client._errors import StatusError, status_error_class
from gram_client._models import Problem
from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig, Settings

DOCUMENT: dict[str, Any] = create_app(Settings(), store=MemoryStore(QueueConfig())).openapi()
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
    "Sight": gram_client.Sight,
    "Solution": gram_client.Solution,
    "SolveResponse": gram_client.SolveResult,
    "Usage": gram_client.Usage,
    "Violation": gram_client.Violation,
}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def problems() -> dict[str, int]:
    """Return the status of every code that any operation may answer with."""
    return {
        code: int(status)
        for _, _, operation in operations()
        for status, response in operation["responses"].items()
        if status[0] in "45"
        for code in re.findall(r"^`(\w+)`:", response["description"], re.MULTILINE)
    }


def kinds(root: type[StatusError]) -> Iterator[type[StatusError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("name", sorted(READ))
def test_a_model_has_the_properties_of_its_schema(name: str) -> None:
    model = READ[name]
    assert set(model.model_fields) == set(SCHEMAS[name]["properties"])
    needed = {field for field, info in model.model_fields.items() if info.is_required()}
    assert needed <= set(SCHEMAS[name]["required"])


@pytest.mark.parametrize("code", sorted(problems()))
def test_every_problem_has_a_class_of_its_own(code: str) -> None:
    kind = status_error_class(problems()[code], code)
    assert kind.code == code
    assert getattr(gram_client, kind.__name__) is kind
    # One that is new to the client becomes the general class of its status.
    assert issubclass(kind, status_error_class(problems()[code], "of_a_newer_server"))


def test_no_class_stands_for_a_problem_that_is_gone() -> None:
    leaves = {kind.code for kind in kinds(StatusError) if not kind.__subclasses__()}
    # No operation has it: it is said of a path.
    assert leaves - set(problems()) == {"method_not_allowed"}


def test_every_kind_of_event_is_read() -> None:
    content = DOCUMENT["paths"]["/solve"]["post"]["responses"]["200"]["content"]
    events = content["text/event-stream"]["schema"]["x-events"]
    assert set(events) == {*READERS, "error"}
    assert all(event["$ref"].rsplit("/", 1)[1] in SCHEMAS for event in events.values())


def test_every_call_of_the_client_is_an_operation_with_its_parameters() -> None:
    options = {"width": 1, "depth": 1, "decodes": 1, "seed": 1, "halt": "act", "model": "m"}
    requests = [
        _protocol.solve_request("1", options),
        _protocol.submit_request("1", {**options, "priority": "low"}),
        _protocol.batch_request(["1"], options),
        _protocol.generate_request({"count": 1, "clues": "unique"}),
        _protocol.job_request("x", wait_s=5),
        _protocol.job_request("x", method="DELETE"),
        _protocol.events_request("x", after=3),
        _protocol.list_request(limit=5, cursor="c"),
        *(_protocol.get_request(path) for path in ("/puzzles", "/models", "/readyz")),
    ]
    known = {(method, path): operation for method, path, operation in operations()}
    for request in requests:
        operation = known[request.method, request.path.replace("/x", "/{job_id}")]
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(request.params) <= named
        sent = set(request.headers) & {"Idempotency-Key", "Last-Event-ID"}
        assert sent <= named
