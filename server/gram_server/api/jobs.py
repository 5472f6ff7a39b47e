"""The routes under ``/jobs``: jobs that go on without a connected client."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.errors import UserError as CoreUserError
from gram_server.api.dispatch import (
    CLIENT_CLOSED_REQUEST,
    ClientLeft,
    EventStream,
    Released,
    charged,
    count_refusal,
    followed,
    format_event,
    give_back,
    json_response,
    run_until_released,
    run_while_connected,
    submit,
)
from gram_server.api.errors import failure_of, problem_of
from gram_server.api.openapi import (
    JOB_PROBLEMS,
    JOB_RESPONSES,
    SOLVE_STREAM,
    SUBMIT_RESPONSES,
    batch_request_body,
    problems,
)
from gram_server.api.queries import (
    LAST_EVENT_HEADER,
    EventHeaders,
    JobQuery,
    PageQuery,
    Query,
    WaitQuery,
    bounded,
    describe,
    read_query,
)
from gram_server.api.requests import KEY_HEADER, ParsedRequest, parse_submission
from gram_server.api.schemas import JobDocument, JobPage, document, result_of, summary
from gram_server.api.state import AppState, is_admin, owner_of, request_id_of
from gram_server.errors import JobNotFound, LinkClosed, NotReady, ServerError, UserError
from gram_server.job import EventKind, JobRecord, JobState
from gram_server.logs import also_logged_with

GREETING = b"retry: 1000\n\n"
"""Opens a stream at once, before the first event."""
MAX_ID_CHARS = 64
"""Longer than any id of a job."""


def jobs_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["jobs"])
    for add in (_add_submit, _add_list, _add_get, _add_cancel, _add_events):
        add(router, state)
    return router


def _add_submit(router: APIRouter, state: AppState) -> None:
    query = bounded(JobQuery, state.settings)
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
            "parameters": [*describe(query), key],
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
            return await _submit(state, request, await parse_submission(state, request, query))
        except (UserError, CoreUserError, ServerError) as error:
            count_refusal(state, error)
            raise


def _add_list(router: APIRouter, state: AppState) -> None:
    @router.get(
        "/jobs",
        summary="List jobs, newest first",
        operation_id="list_jobs",
        response_model=JobPage,
        responses=problems("parameter_invalid", *JOB_PROBLEMS),
        openapi_extra={"parameters": describe(PageQuery)},
    )
    async def list_jobs(request: Request) -> Response:
        """List the jobs of the API key that are still remembered, a part at a time."""
        query = read_query(PageQuery, request.query_params.multi_items())
        page = await state.store.page(
            owner_of(request.scope), cursor=query.cursor, limit=query.limit
        )
        jobs = [summary(record) for record in page.records]
        return json_response({"jobs": jobs, "cursor": page.cursor})


def _add_get(router: APIRouter, state: AppState) -> None:
    query_model = bounded(WaitQuery, state.settings)

    @router.get(
        "/jobs/{job_id}",
        summary="Show a job",
        operation_id="get_job",
        response_model=JobDocument,
        responses=JOB_RESPONSES,
        openapi_extra={"parameters": describe(query_model)},
    )
    async def get_job(job_id: str, request: Request) -> Response:
        """Show where a job stands, with its result once there is one."""
        query = read_query(query_model, request.query_params.multi_items())
        record = await _owned(state, request, job_id)
        if query.wait and not record.state.is_final:
            waiting = run_until_released(
                state.store.wait(job_id, timeout_s=query.wait), state.lifecycle.released
            )
            try:
                record = await run_while_connected(waiting, request.receive)
            except ClientLeft:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            except (Released, LinkClosed):
                record = await state.store.get(job_id)
        if record.state.is_final:
            state.lifecycle.note_read(job_id)
        return json_response(document(state, record))


def _add_cancel(router: APIRouter, state: AppState) -> None:
    @router.delete(
        "/jobs/{job_id}",
        summary="Cancel a job",
        operation_id="cancel_job",
        response_model=JobDocument,
        responses=JOB_RESPONSES,
    )
    async def cancel_job(job_id: str, request: Request) -> Response:
        """End a job that is not final yet, and show it; a final one stays as it is."""
        read_query(Query, request.query_params.multi_items())
        await _owned(state, request, job_id)
        await state.store.cancel(job_id)
        state.lifecycle.note_read(job_id)
        return json_response(document(state, await state.store.get(job_id)))


def _add_events(router: APIRouter, state: AppState) -> None:
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
        openapi_extra={"parameters": describe(EventHeaders, where="header")},
    )
    async def follow_job(job_id: str, request: Request) -> Response:
        """Stream what happens to a job as server-sent events, from the start or where one left.

        Events are `accepted`, `solution`, with `show_trajectories` `progress` with what
        trajectories answer so far, and `done` with the whole answer or `error` with a problem. Of
        `progress` only the newest is kept. For a batch `progress` is a `PartEndedEvent` for each
        part that ended. Leaving does not end the job.
        """
        read_query(Query, request.query_params.multi_items())
        sent = [(LAST_EVENT_HEADER, text) for text in request.headers.getlist(LAST_EVENT_HEADER)]
        after = read_query(EventHeaders, sent).last_event
        record = await _owned(state, request, job_id)
        events, opening = _events(state, request, job_id, after), GREETING
        if record.state.is_final:
            first = await anext(events, None)
            if first is None:
                return Response(status_code=204)
            opening += first
        return EventStream(opening, events, heartbeat_s=state.settings.http.sse_heartbeat_s)


async def _submit(state: AppState, request: Request, parsed: ParsedRequest) -> Response:
    """Submit the work of a request, unless its idempotency key already has a job."""
    ticket, job = parsed.ticket, parsed.job
    if ticket is not None and (known := await state.store.known(ticket)):
        return await _accepted_before(state, known)
    async with charged(state, request.scope, lambda: parsed.charge):
        job_id = await submit(
            state,
            job,
            request_id=request_id_of(request.scope),
            parts=parsed.parts,
            ticket=ticket,
        )
    if job_id != job.id:
        # A concurrent request with this key was first.
        await give_back(state, request.scope, parsed.charge)
        return await _accepted_before(state, job_id)
    parts = tuple(JobRecord(job=part, state=JobState.QUEUED) for part in parsed.parts)
    record = JobRecord(job=job, state=JobState.QUEUED, parts=parts)
    return json_response(document(state, record), 202, {"Location": _location(job_id)})


async def _accepted_before(state: AppState, job_id: str) -> Response:
    also_logged_with(job_id=job_id)
    record = await state.store.get(job_id)
    return json_response(document(state, record), 200, {"Location": _location(job_id)})


def _location(job_id: str) -> str:
    """Return a path relative to ``/jobs``: a proxy may add a prefix."""
    return f"jobs/{job_id}"


async def _owned(state: AppState, request: Request, job_id: str) -> JobRecord:
    """Return a job that the caller may see; raise ``JobNotFound`` for any other."""
    if len(job_id) > MAX_ID_CHARS:
        raise JobNotFound(f"no job {job_id[:MAX_ID_CHARS]}…")
    record = await state.store.get(job_id)
    owner = record.job.owner
    if owner is None or (owner != owner_of(request.scope) and not is_admin(request.scope)):
        raise JobNotFound(f"no job {job_id}")
    also_logged_with(job_id=job_id)
    return record


async def _events(
    state: AppState, request: Request, job_id: str, after: int
) -> AsyncGenerator[bytes]:
    last, request_id = after, request_id_of(request.scope)
    try:
        events = state.store.events(job_id, after=after)
        async for event in followed(events, state.lifecycle.released):
            last, data = event.id, event.data
            if event.kind is EventKind.ERROR:
                failure = failure_of(str(data["code"]), str(data["detail"]))
                data = problem_of(failure).document(request_id)
            elif event.kind is EventKind.DONE and not data:
                record = await state.store.get(job_id)
                data = result_of(state, record) or {"id": job_id, "state": record.state.value}
            yield format_event(event.kind, data, number=last)
            if event.kind.is_final:
                state.lifecycle.note_read(job_id)
    except (Released, ServerError) as error:
        # The server stops, or lost its queue: the client can resume after ``last``.
        failure = error if isinstance(error, ServerError) else NotReady("the server is stopping")
        yield format_event(EventKind.ERROR, problem_of(failure).document(request_id), number=last)
