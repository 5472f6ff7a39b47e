"""``POST /solve``: the distinct solutions of a posted puzzle."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from gram_core.puzzles import families
from gram_server.api.admission import admit
from gram_server.api.answer import respond
from gram_server.api.context import Context
from gram_server.api.openapi import SOLVE_RESPONSES, solve_request_body
from gram_server.api.parameters import solve_parameters


def solve_router(context: Context) -> APIRouter:
    """Return the route of ``POST /solve``."""
    router = APIRouter(tags=["solve"])
    parameters = solve_parameters(context.settings.http, tuple(families()))

    @router.post(
        "/solve",
        summary="Solve a puzzle",
        operation_id="solve",
        responses=SOLVE_RESPONSES,
        openapi_extra={
            "parameters": [parameter.document() for parameter in parameters],
            "requestBody": solve_request_body(),
        },
    )
    async def solve(request: Request) -> Response:
        """Sample `width` trajectories and return the distinct solutions, exactly verified.

        With `Accept: text/event-stream` the solutions come as they are found: events `accepted`,
        `solution`, then `done` with the whole answer, or `error` with a problem; and with
        `decodes`, at most ten times a second, `progress` with what trajectories answer so far.
        A client that disconnects stops its work.
        """
        return await respond(context, request, admit(context, request, parameters=parameters))

    return router
