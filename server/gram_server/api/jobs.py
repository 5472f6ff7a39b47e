"""The routes under ``/jobs``: work that goes on without its client, to be asked for later."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.errors import UserError as CoreUserError
from gram_core.puzzles import families
from gram_server.api.access import is_admin, owner_of
from gram_server.api.answer import CLIENT_CLOSED_REQUEST, count_refusal
from gram_server.api.context import Context
from gram_server.api.disconnect import (
    ClientLeft,
    Released,
    followed,
    run_until_released,
    run_while_connected,
)
from gram_server.api.enqueue import enqueue
from gram_server.api.errors import problem_of
from gram_server.api.job_view import document, json_response, result_of, summary
from gram_server.api.limits import charged, give_back
from gram_server.api.openapi import (
    JOB_PROBLEMS,
    JOB_RESPONSES,
    SOLVE_STREAM,
    SUBMIT_RESPONSES,
    batch_request_body,
    problems,
)
from gram_server.api.parameters import (
    LAST_EVENT,
    PAGE_SIZE,
    job_parameters,
    page_parameters,
    read_parameters,
    wait_parameters,
)
from gram_server.api.request_id import request_id_of
from gram_server.api.schemas import JobDocument, JobPage
from gram_server.api.stream import EventStream, format_event
from gram_server.api.submission import KEY_HEADER, Submission, read_submission
from gram_server.errors import (
    JobFailed,
    JobNotFound,
    LinkClosed,
    NotReady,
    ParameterInvalid,
    ServerError,
    UserError,
)
from gram_server.job import Event, EventKind, JobRecord, JobState
from gram_server.logs import also_logged_with

GREETING = b"retry: 1000\n\n"
"""Opens a stream at once, though the first event may be long in coming."""
MAX_ID_CHARS = 64
"""No id of a job is as long."""


def jobs_router(context: Context) -> APIRouter:
    """Return the routes under ``/jobs``."""
    router = APIRouter(tags=["jobs"])
    for add in (_add_submit, _add_list, _add_get, _add_cancel, _add_events):
        add(router, context)
    return router


def _add_submit(router: APIRouter, context: Context) -> None:
    parameters = job_parameters(context.settings.http, tuple(families()))
    key = {
        "name": KEY_HEADER,
        "in": "header",
        "required": False,
        "description": "Makes it safe to send the request again: it stands for one job, for a day.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }

    @router.post(
        "/jobs",
        status_code=202,
        summary="Hand in a puzzle, or a batch of puzzles",
        operation_id="submit_job",
        responses=SUBMIT_RESPONSES,
        openapi_extra={
            "parameters": [*(parameter.document() for parameter in parameters), key],
            "requestBody": batch_request_body(),
        },
    )
    async def submit_job(request: Request) -> Response:
        """Take work and answer at once: 202 with the job, to be asked for at its `Location`.

        The body and the parameters are those of `POST /solve`, or a batch of puzzles, which is
        accepted whole or refused whole. A job goes on when its client leaves.
        With an `Idempotency-Key` that was used before, the answer is 200 with the earlier job.
        """
        try:
            submission = await read_submission(context, request, parameters=parameters)
            return await _submit(context, request, submission)
        except (UserError, CoreUserError, ServerError) as error:
            count_refusal(context, error)
            raise


def _add_list(router: APIRouter, context: Context) -> None:
    parameters = page_parameters()

    @router.get(
        "/jobs",
        summary="List jobs, newest first",
        operation_id="list_jobs",
        response_model=JobPage,
        responses=problems("parameter_invalid", *JOB_PROBLEMS),
        openapi_extra={"parameters": [parameter.document() for parameter in parameters]},
    )
    async def list_jobs(request: Request) -> Response:
        """List the jobs of the API key that are still remembered, a part at a time."""
        values = read_parameters(request.query_params.multi_items(), parameters)
        cursor = values.get("cursor")
        page = await context.store.page(
            owner_of(request.scope),
            cursor=None if cursor is None else str(cursor),
            limit=int(values.get("limit", PAGE_SIZE)),
        )
        jobs = [summary(record) for record in page.records]
        return json_response({"jobs": jobs, "cursor": page.cursor})


def _add_get(router: APIRouter, context: Context) -> None:
    parameters = wait_parameters(context.settings.http)

    @router.get(
        "/jobs/{job_id}",
        summary="Show a job",
        operation_id="get_job",
        response_model=JobDocument,
        responses=JOB_RESPONSES,
        openapi_extra={"parameters": [parameter.document() for parameter in parameters]},
    )
    async def get_job(job_id: str, request: Request) -> Response:
        """Show where a job stands, with its result once there is one."""
        values = read_parameters(request.query_params.multi_items(), parameters)
        record = await _owned(context, request, job_id)
        wait_s = int(values.get("wait", 0))
        if wait_s and not record.state.is_final:
            waiting = run_until_released(
                context.store.wait(job_id, timeout_s=wait_s), context.lifecycle.released
            )
            try:
                record = await run_while_connected(waiting, request.receive)
            except ClientLeft:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except (Released, LinkClosed):
                record = await context.store.get(job_id)
        if record.state.is_final:
            context.lifecycle.unread.discard(job_id)
        return json_response(document(context, record))


def _add_cancel(router: APIRouter, context: Context) -> None:
    @router.delete(
        "/jobs/{job_id}",
        summary="Cancel a job",
        operation_id="cancel_job",
        response_model=JobDocument,
        responses=JOB_RESPONSES,
    )
    async def cancel_job(job_id: str, request: Request) -> Response:
        """End a job that is not final yet, and show it; a final one stays as it is."""
        read_parameters(request.query_params.multi_items(), ())
        await _owned(context, request, job_id)
        await context.store.cancel(job_id)
        return json_response(document(context, await context.store.get(job_id)))


def _add_events(router: APIRouter, context: Context) -> None:
    @router.get(
        "/jobs/{job_id}/events",
        summary="Follow a job",
        operation_id="follow_job",
        response_class=Response,
        responses={
            **JOB_RESPONSES,
            200: {"content": SOLVE_STREAM},
            204: {"description": "Nothing came after that event, and nothing will."},
        },
        openapi_extra={"parameters": [LAST_EVENT.document()]},
    )
    async def follow_job(job_id: str, request: Request) -> Response:
        """Stream what happens to a job as server-sent events, from the start or where one left.

        Events are `accepted`, `solution`, with `decodes` `progress` with what trajectories answer
        so far, and `done` with the whole answer or `error` with a problem. Of `progress` only the
        newest is kept. For a batch `progress` is a `PartEndedEvent` for each part that ended.
        Leaving does not end the job.
        """
        read_parameters(request.query_params.multi_items(), ())
        after = _read_last_event(request)
        record = await _owned(context, request, job_id)
        events = _events(context, request, job_id, after)
        if record.state.is_final:
            first = await anext(events, None)
            if first is None:
                return Response(status_code=204)
            return EventStream(GREETING + first, events, heartbeat_s=_heartbeat_s(context))
        return EventStream(GREETING, events, heartbeat_s=_heartbeat_s(context))


async def _submit(context: Context, request: Request, submission: Submission) -> Response:
    """Hand in what a request brings, unless its key stands for a job already."""
    ticket, job = submission.ticket, submission.job
    if ticket is not None and (known := await context.store.known(ticket)):
        return await _accepted_before(context, known)
    async with charged(context, request.scope, submission.width):
        job_id = await enqueue(
            context,
            job,
            request_id=request_id_of(request.scope),
            parts=submission.parts,
            ticket=ticket,
        )
    if job_id != job.id:
        # Another request of that key came between.
        await give_back(context, request.scope, submission.width)
        return await _accepted_before(context, job_id)
    parts = tuple(JobRecord(job=part, state=JobState.QUEUED) for part in submission.parts)
    record = JobRecord(job=job, state=JobState.QUEUED, parts=parts)
    return json_response(document(context, record), 202, Location=_location(job_id))


async def _accepted_before(context: Context, job_id: str) -> Response:
    also_logged_with(job_id=job_id)
    record = await context.store.get(job_id)
    return json_response(document(context, record), 200, Location=_location(job_id))


def _location(job_id: str) -> str:
    """Return where a job is, from ``/jobs``: a proxy may have put that anywhere."""
    return f"jobs/{job_id}"


async def _owned(context: Context, request: Request, job_id: str) -> JobRecord:
    """Return a job that the caller may see; any other looks as if it were not there."""
    if len(job_id) > MAX_ID_CHARS:
        raise JobNotFound(f"no job {job_id[:MAX_ID_CHARS]}…")
    record = await context.store.get(job_id)
    owner = record.job.owner
    if owner is None or (owner != owner_of(request.scope) and not is_admin(request.scope)):
        raise JobNotFound(f"no job {job_id}")
    also_logged_with(job_id=job_id)
    return record


def _read_last_event(request: Request) -> int:
    texts = request.headers.getlist(LAST_EVENT.name)
    if len(texts) > 1:
        raise ParameterInvalid(f"{LAST_EVENT.name} is given more than once", field=LAST_EVENT.name)
    return int(LAST_EVENT.read(texts[0])) if texts else 0


async def _events(
    context: Context, request: Request, job_id: str, after: int
) -> AsyncGenerator[bytes]:
    last = after
    try:
        events = context.store.events(job_id, after=after)
        async for event in followed(events, context.lifecycle.released):
            last = event.id
            yield await _format(context, request, job_id, event)
            if event.kind.is_final:
                context.lifecycle.unread.discard(job_id)
    except (Released, ServerError) as error:
        # The server stops, or lost its queue: the stream can be taken up again from here.
        told = error if isinstance(error, ServerError) else NotReady("the server is stopping")
        problem = problem_of(told).document(request_id_of(request.scope))
        yield format_event(EventKind.ERROR, problem, number=last)


async def _format(context: Context, request: Request, job_id: str, event: Event) -> bytes:
    data = event.data
    if event.kind is EventKind.ERROR:
        failure = JobFailed(f"{data['code']}: {data['detail']}")
        data = problem_of(failure).document(request_id_of(request.scope))
    elif event.kind is EventKind.DONE and not data:
        record = await context.store.get(job_id)
        data = result_of(context, record) or {"id": job_id, "state": record.state.value}
    return format_event(event.kind, data, number=event.id)


def _heartbeat_s(context: Context) -> float:
    return context.settings.http.sse_heartbeat_s
