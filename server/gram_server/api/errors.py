"""The one catalogue of problems, and the only place where errors become HTTP.

Every refusal and failure is an RFC 9457 ``application/problem+json`` document with a stable
``type`` and ``code``, the request's id, and whether sending the same again can help.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from gram_core.errors import CoreError, Issue, PuzzleInvalid
from gram_server.errors import (
    JobInterrupted,
    LinkClosed,
    NotReady,
    QueueFull,
    ServerError,
    StoreUnavailable,
    UserError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-ID"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: what stays the same each time it happens."""

    code: str
    status: int
    title: str
    is_retryable: bool = False

    @property
    def uri(self) -> str:
        """Path under this server that describes the problem."""
        return f"/problems/{self.code}"


CATALOGUE: Mapping[str, ProblemType] = MappingProxyType(
    {
        problem.code: problem
        for problem in (
            ProblemType("body_invalid", 400, "The request body cannot be read"),
            ProblemType("key_missing", 401, "The request needs an API key"),
            ProblemType("key_invalid", 401, "The API key is not known or no longer valid"),
            ProblemType("scope_missing", 403, "The API key does not allow this"),
            ProblemType("origin_refused", 403, "The server does not take this from a browser"),
            ProblemType("not_found", 404, "There is nothing at this path"),
            ProblemType("job_not_found", 404, "There is no such job"),
            ProblemType("body_slow", 408, "The request body came too slowly"),
            ProblemType("idempotency_conflict", 409, "The idempotency key is taken"),
            ProblemType("job_gone", 410, "The job has been forgotten"),
            ProblemType("method_not_allowed", 405, "The path does not take this method"),
            ProblemType("body_too_large", 413, "The request body is too large"),
            ProblemType("media_type_unsupported", 415, "The content type is not supported"),
            ProblemType("parameter_invalid", 422, "A query parameter cannot be used"),
            ProblemType("puzzle_invalid", 422, "The puzzle is malformed or contradicts itself"),
            ProblemType("unknown_puzzle", 422, "There is no puzzle family of this name"),
            ProblemType("unknown_task", 422, "The puzzle family has no such size"),
            ProblemType("model_unknown", 422, "No loaded model fits the request"),
            ProblemType("queue_full", 429, "The queue is full", is_retryable=True),
            ProblemType("rate_limited", 429, "The API key asks for too much", is_retryable=True),
            ProblemType("internal", 500, "The server failed"),
            ProblemType("job_failed", 500, "The job could not be finished"),
            ProblemType("store_unavailable", 503, "The queue cannot be reached", is_retryable=True),
            ProblemType("not_ready", 503, "The server takes no work now", is_retryable=True),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem that happened to one request."""

    type: ProblemType
    detail: str
    issues: tuple[Issue, ...] = ()
    retry_after_s: int | None = None

    def document(self, request_id: str) -> dict[str, object]:
        """Return the problem document."""
        document: dict[str, object] = {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "code": self.type.code,
            "retryable": self.type.is_retryable,
            "request_id": request_id,
        }
        if self.issues:
            document["errors"] = [_issue_document(issue) for issue in self.issues]
        if self.retry_after_s is not None:
            document["retry_after_s"] = self.retry_after_s
        return document

    def response(self, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return the problem as a response."""
        # Set here too: an unforeseen error is answered outside the middleware that sets it.
        sent = {REQUEST_ID_HEADER: request_id, **(headers or {})}
        if self.retry_after_s is not None:
            sent["Retry-After"] = str(self.retry_after_s)
        # ASCII only: details may quote what a caller sent, unpaired surrogates included.
        content = json.dumps(self.document(request_id))
        return Response(content, self.type.status, sent, PROBLEM_MEDIA_TYPE)


def request_id_of(scope: Scope) -> str:
    """Return the id of a request."""
    return str(scope.get("state", {}).get("request_id", ""))


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is to its caller."""
    if isinstance(error, LinkClosed):
        error = NotReady("the server is stopping")
    kind = CATALOGUE.get(getattr(error, "code", ""), CATALOGUE["internal"])
    if isinstance(error, PuzzleInvalid):
        return Problem(type=kind, detail=str(error), issues=error.issues)
    if isinstance(error, QueueFull | NotReady | JobInterrupted | StoreUnavailable):
        return Problem(type=kind, detail=str(error), retry_after_s=error.retry_after_s)
    if isinstance(error, UserError):
        issues = () if error.field is None else (Issue(error.field, error.detail),)
        return Problem(type=kind, detail=error.detail, issues=issues)
    if isinstance(error, CoreError) and kind.status < 500:
        return Problem(type=kind, detail=str(error), issues=(Issue("puzzle", str(error)),))
    if kind.code == "internal":
        # What went wrong inside is for the log, not for the caller.
        return Problem(type=kind, detail="the server failed; the log has the request id")
    return Problem(type=kind, detail=str(error))


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    for kind in (ServerError, CoreError, Exception):
        app.add_exception_handler(kind, _handle_error)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(RequestValidationError, _handle_validation)


async def _handle_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    request_id = request_id_of(request.scope)
    if problem.type.status >= 500 and not problem.type.is_retryable:
        ids = {"request_id": request_id}
        logger.error("request=%s failed: %r", request_id, error, extra=ids)
    return problem.response(request_id)


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "internal")
    problem = Problem(
        type=CATALOGUE[code],
        detail=f"{request.method} {request.scope['path'][:80]}: {str(error.detail).lower()}",
    )
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_of(request, headers.pop("Allow", "")))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    return problem.response(request_id_of(request.scope), headers)


def _methods_of(request: Request, known: str) -> Sequence[str]:
    """Return every method that the path takes: the framework knows those of one route only."""
    methods = {"OPTIONS", *known.replace(",", " ").split()}
    for template, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, request.scope["path"]):
            methods.update(method.upper() for method in operations)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def _handle_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    issues = tuple(
        Issue(".".join(str(part) for part in item["loc"]), str(item["msg"]))
        for item in error.errors()
    )
    problem = Problem(
        type=CATALOGUE["parameter_invalid"], detail="a parameter cannot be used", issues=issues
    )
    return problem.response(request_id_of(request.scope))


def _issue_document(issue: Issue) -> dict[str, object]:
    return {
        "field": issue.field,
        "detail": issue.detail,
        "cells": [list(cell) for cell in issue.cells],
        "rule": issue.rule,
    }
