"""The OpenAPI document beyond the routes' signatures: bodies, problems and examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gram_core.puzzles import families
from gram_server import answers
from gram_server.api import schemas
from gram_server.api.errors import CATALOGUE, PROBLEM_MEDIA_TYPE

Document = dict[str, Any]

KEY_PROBLEMS = ("key_missing", "key_invalid", "scope_missing", "origin_refused")
JOB_PROBLEMS = (*KEY_PROBLEMS, "store_unavailable", "internal")
WORK_PROBLEMS = (
    *("body_invalid", "body_too_large", "body_slow", "parameter_invalid", "model_unknown"),
    *("queue_full", "rate_limited", "not_ready", *JOB_PROBLEMS),
)
PUZZLE_PROBLEMS = ("media_type_unsupported", "puzzle_invalid", "unknown_puzzle", "unknown_task")

OTHERS: tuple[type[BaseModel], ...] = (
    schemas.BatchBody,
    answers.AcceptedEvent,
    answers.ProgressEvent,
    schemas.PartEndedEvent,
)
"""Models that no route declares: of a body, and of the data of events."""

TEXT_EXAMPLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


def problems(*codes: str) -> dict[int | str, Document]:
    """Return the ``responses`` of a route for problems, by status."""
    responses: dict[int | str, Document] = {}
    for code in codes:
        kind = CATALOGUE[code]
        described = responses.get(kind.status, {}).get("description")
        line = f"`{code}`: {kind.title}"
        responses[kind.status] = {
            "model": schemas.ProblemDocument,
            "description": line if described is None else f"{described}\n\n{line}",
        }
    for status in (429, 503):
        if status in responses:
            responses[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return responses


_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}


def event_stream(**data: str) -> Document:
    """Return the content of a stream; ``data`` names the schema of each kind of event."""
    references = {kind: {"$ref": f"#/components/schemas/{name}"} for kind, name in data.items()}
    return {
        "text/event-stream": {
            "schema": {
                "type": "string",
                "description": "Server-sent events with increasing ids; their data is JSON.",
                "x-events": references,
            },
            "example": 'id: 1\nevent: accepted\ndata: {"id": "…"}\n\n',
        }
    }


SOLVE_STREAM = event_stream(
    accepted="AcceptedEvent",
    progress="ProgressEvent",
    solution="Solution",
    done="SolveResponse",
    error="ProblemDocument",
)
GENERATE_STREAM = event_stream(
    accepted="AcceptedEvent", solution="Board", done="GenerateResponse", error="ProblemDocument"
)
_TIMING: Document = {
    "Server-Timing": {
        "description": "Milliseconds in queue and engine, and in total.",
        "schema": {"type": "string"},
    }
}

_LOCATION: Document = {
    "Location": {"description": "Its path.", "schema": {"type": "string"}},
}

SUBMIT_RESPONSES: dict[int | str, Document] = {
    202: {
        "model": schemas.JobDocument,
        "description": "The job, which was accepted.",
        "headers": _LOCATION,
    },
    200: {
        "model": schemas.JobDocument,
        "description": "The job that was accepted earlier under the same key.",
        "headers": _LOCATION,
    },
    **problems(*WORK_PROBLEMS, *PUZZLE_PROBLEMS, "idempotency_conflict", "job_gone"),
}
JOB_RESPONSES = problems("job_not_found", "parameter_invalid", *JOB_PROBLEMS)
GENERATE_RESPONSES: dict[int | str, Document] = {
    200: {
        "model": answers.GenerateResponse,
        "description": "Valid boards, as many as were found.",
        "content": GENERATE_STREAM,
        "headers": _TIMING,
    },
    **problems(*WORK_PROBLEMS, "job_failed"),
}
SOLVE_RESPONSES: dict[int | str, Document] = {
    200: {
        "model": answers.SolveResponse,
        "description": "What became of the puzzle, solved or not.",
        "content": SOLVE_STREAM,
        "headers": _TIMING,
    },
    **problems(*WORK_PROBLEMS, *PUZZLE_PROBLEMS, "job_failed"),
}


def solve_request_body() -> Document:
    text = {"schema": {"type": "string", "minLength": 1}, "example": TEXT_EXAMPLE}
    return {
        "required": True,
        "description": "A puzzle as JSON; or as text: the cells of a sudoku, rows of queens, a "
        "graph in DIMACS form, or a drawn maze. Text is recognised by its first character, "
        "whatever the content type.",
        "content": {"application/json": {"schema": {"oneOf": _references()}}, "text/plain": text},
    }


def _references() -> list[Document]:
    return [{"$ref": f"#/components/schemas/{title}"} for title in _body_schemas()]


def _body_schemas() -> dict[str, Document]:
    schemas_of_all = [family.schema() for family in families().values()]
    return {str(schema["title"]): schema for schema in schemas_of_all}


def batch_request_body() -> Document:
    body = solve_request_body()
    body["content"]["application/json"]["schema"]["oneOf"].append(
        {"$ref": "#/components/schemas/BatchBody"}
    )
    return body


def openapi_document(app: FastAPI, *, root_path: str) -> Document:
    """Return the OpenAPI document, which is built once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": root_path}] if root_path else None,
    )
    _, bodies = models_json_schema(
        [(body, "validation") for body in OTHERS],
        ref_template="#/components/schemas/{model}",
    )
    document["components"]["schemas"].update(bodies["$defs"])
    document["components"]["schemas"].update(_body_schemas())
    instances = document["components"]["schemas"]["BatchBody"]["properties"]["instances"]
    instances["items"]["anyOf"] = [{"type": "string"}, *_references()]
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # A server without a key file needs no key.
    document["security"] = [{}, {"key": []}]
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if status[0] in "45" and "application/json" in content:
                    content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")
    app.openapi_schema = document
    return document
