"""The one catalogue of problems, and the only place where errors become HTTP.

Every refusal and failure is an RFC 9457 ``application/problem+json`` document with a stable
``type`` and ``code``, the request's id, and whether sending the same again can help.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gram_core.errors import CoreError, Issue, PuzzleInvalid, UnknownTask
from gram_core.errors import UserError as CoreUserError
from gram_server.api.state import request_id_of
from gram_server.errors import (
    JobFailed,
    LinkClosed,
    MethodNotAllowed,
    ModelUnknown,
    NotReady,
    PathNotFound,
    ServerError,
    UserError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-ID"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """The fixed fields of one kind of problem."""

    code: str
    status: int
    title: str
    is_retryable: bool = False

    @property
    def uri(self) -> str:
        """Path under this server that describes the problem."""
        return f"/problems/{self.code}"


def _kinds(root: type[ServerError]) -> Iterator[ProblemType]:
    if "title" in vars(root):
        yield ProblemType(root.code, root.status, root.title, root.is_retryable)
    for kind in root.__subclasses__():
        yield from _kinds(kind)


CATALOGUE: Mapping[str, ProblemType] = MappingProxyType(
    {
        kind.code: kind
        for kind in (
            *_kinds(ServerError),
            # gram_core's errors have no HTTP status.
            ProblemType("puzzle_invalid", 422, "The puzzle is malformed or contradicts itself"),
            ProblemType("unknown_puzzle", 422, "There is no puzzle family of this name"),
            ProblemType("unknown_task", 422, "The puzzle family has no such size"),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem of one request."""

    type: ProblemType
    detail: str
    issues: tuple[Issue, ...] = ()
    retry_after_s: int | None = None

    def document(self, request_id: str) -> dict[str, object]:
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
            document["errors"] = [asdict(issue) for issue in self.issues]
        if self.retry_after_s is not None:
            document["retry_after_s"] = self.retry_after_s
        return document

    def response(self, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
        # Set here too: unexpected errors are answered outside the middleware.
        sent = {REQUEST_ID_HEADER: request_id, **(headers or {})}
        if self.retry_after_s is not None:
            sent["Retry-After"] = str(self.retry_after_s)
        # ASCII only: details may quote what a caller sent, unpaired surrogates included.
        content = json.dumps(self.document(request_id))
        return Response(content, self.type.status, sent, PROBLEM_MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    if isinstance(error, LinkClosed):
        error = NotReady("the server is stopping")
    kind = CATALOGUE.get(getattr(error, "code", ""), CATALOGUE["internal"])
    if kind.code == "internal":
        # Internal details are logged, and hidden from the caller.
        return Problem(type=kind, detail="the server failed; the log has the request id")
    issues: tuple[Issue, ...] = ()
    if isinstance(error, PuzzleInvalid):
        issues = error.issues
    elif isinstance(error, UserError | CoreUserError) and error.field is not None:
        issues = (Issue(error.field, str(error)),)
    retry_after_s = getattr(error, "retry_after_s", None)
    return Problem(type=kind, detail=str(error), issues=issues, retry_after_s=retry_after_s)


def failure_of(code: str, detail: str) -> ServerError:
    """Return why a job failed by what its worker told: for some models it alone knows what fits."""
    if code in (ModelUnknown.code, UnknownTask.code):
        return ModelUnknown(detail)
    return JobFailed(f"{code}: {detail}")


def add_error_handlers(app: FastAPI) -> None:
    for kind in (ServerError, CoreError, Exception):
        app.add_exception_handler(kind, _handle_error)
    app.add_exception_handler(HTTPException, _handle_http)


async def _handle_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    request_id = request_id_of(request.scope)
    if problem.type.status >= 500 and not problem.type.is_retryable:
        ids = {"request_id": request_id}
        logger.error("request=%s failed: %r", request_id, error, extra=ids)
    return problem.response(request_id)


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: PathNotFound, 405: MethodNotAllowed}.get(error.status_code, ServerError)
    problem = Problem(
        type=CATALOGUE[kind.code],
        detail=f"{request.method} {request.scope['path'][:80]}: {str(error.detail).lower()}",
    )
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_of(request, headers.pop("Allow", "")))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    return problem.response(request_id_of(request.scope), headers)


def _methods_of(request: Request, known: str) -> Sequence[str]:
    """Return every method of the path: the framework knows those of one route only."""
    methods = {"OPTIONS", *known.replace(",", " ").split()}
    for template, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, request.scope["path"]):
            methods.update(method.upper() for method in operations)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
