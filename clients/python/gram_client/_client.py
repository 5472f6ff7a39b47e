"""The synchronous client: sends what _protocol writes, repeats what _retry allows."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from gram_client import _settings
from gram_client._errors import NoAnswer
from gram_client._models import (
    GenerateResult,
    Health,
    ModelInfo,
    ModelList,
    PuzzleInfo,
    PuzzleList,
    SolveResult,
)
from gram_client._protocol import (
    Clues,
    Count,
    Fallback,
    Halt,
    Puzzle,
    Request,
    Stop,
    default_headers,
    generate_request,
    get_request,
    no_answer,
    read,
    read_health,
    settle,
    solve_request,
)
from gram_client._retry import Retry


class Client:
    """Talks to one server over one pool of connections; safe to share between threads."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = _settings.DEFAULT_TIMEOUT_S,
        max_retries: int = _settings.DEFAULT_MAX_RETRIES,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Open no connection yet.

        Args:
            base_url: The server; ``GRAM_BASE_URL`` or http://127.0.0.1:8000 where None.
            api_key: Bearer token; ``GRAM_API_KEY`` where None.
            timeout_s: Silence after which an attempt is given up.
            max_retries: Attempts after the first, for failures that a repetition can help.
            sleep: Waits between attempts.
        """
        self.settings = _settings.resolve(
            base_url, api_key, timeout_s=timeout_s, max_retries=max_retries
        )
        self._retry = Retry(max_retries=max_retries)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.settings.base_url,
            headers=default_headers(self.settings),
            timeout=timeout_s,
        )

    def solve(
        self,
        puzzle: Puzzle,
        *,
        width: int = 16,
        depth: int | None = None,
        max_solutions: int | None = None,
        deadline_ms: int | None = None,
        seed: int | None = None,
        augment: bool = True,
        halt: Halt = "verified",
        fallback: Fallback = "none",
        count: Count = "none",
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> SolveResult:
        """Solve a puzzle; a puzzle nobody solved is a result too, see ``SolveResult.status``.

        Args:
            puzzle: Text (a sudoku's characters, a DIMACS graph), rows of numbers, or a JSON body.
            width: Trajectories to sample.
            depth: Supervision steps a trajectory may take; the model's default where None.
            max_solutions: Stop at this many distinct solutions; None explores the whole width.
            deadline_ms: Return what there is after this time.
            seed: Repeats an earlier call; drawn where None, so that retries repeat their work.
            augment: Let each trajectory look at its own symmetry view of the puzzle.
            halt: When a trajectory leaves before ``depth``.
            fallback: ``exact`` answers by exact search where no trajectory did.
            count: ``exact`` fills ``completeness.total``.
            model: Name of the model; the puzzle's own where None.
            timeout_s: Replaces the client's for this call.
        """
        request = solve_request(
            puzzle,
            {
                "width": width,
                "depth": depth,
                "max_solutions": max_solutions,
                "deadline_ms": deadline_ms,
                "seed": seed,
                "augment": augment,
                "halt": halt,
                "fallback": fallback,
                "count": count,
                "model": model,
            },
        )
        return read(SolveResult, settle(self._send(request, timeout_s)))

    def generate(
        self,
        puzzle: str = "sudoku",
        *,
        count: int = 1,
        size: int | None = None,
        distinct: bool = True,
        clues: Clues = "none",
        max_trajectories: int | None = None,
        depth: int | None = None,
        halt: Stop = "verified",
        augment: bool = False,
        deadline_ms: int | None = None,
        seed: int | None = None,
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> GenerateResult:
        """Make up valid boards; ``validity`` says how many trajectories ended in one.

        Args:
            puzzle: Name of the family.
            count: Boards to return.
            size: Side of the boards; the largest that a loaded model makes where None.
            distinct: Return no board twice.
            clues: ``unique``, or a number of clues to stop at, thins each board to a puzzle whose
                only solution it is.
            max_trajectories: Trajectories to sample at most.
            depth: Supervision steps a trajectory may take; the model's default where None.
            halt: When a trajectory leaves before ``depth``.
            augment: Show each board through a symmetry of its own.
            deadline_ms: Return what there is after this time.
            seed: Repeats an earlier call; drawn where None, so that retries repeat their work.
            model: Name of the model; one trained to make up boards where None.
            timeout_s: Replaces the client's for this call.
        """
        request = generate_request(
            {
                "puzzle": puzzle,
                "count": count,
                "size": size,
                "distinct": distinct,
                "clues": clues,
                "max_trajectories": max_trajectories,
                "depth": depth,
                "halt": halt,
                "augment": augment,
                "deadline_ms": deadline_ms,
                "seed": seed,
                "model": model,
            }
        )
        return read(GenerateResult, settle(self._send(request, timeout_s)))

    def puzzles(self) -> list[PuzzleInfo]:
        """Return the puzzle families the server knows."""
        return list(read(PuzzleList, settle(self._send(get_request("/puzzles")))).puzzles)

    def models(self) -> list[ModelInfo]:
        """Return the models the server has loaded."""
        return list(read(ModelList, settle(self._send(get_request("/models")))).models)

    def health(self) -> Health:
        """Say whether the server takes work now; asks once and does not retry."""
        return read_health(self._attempt(get_request("/readyz"), None))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, request: Request, timeout_s: float | None = None) -> httpx.Response | NoAnswer:
        attempt = 0
        while True:
            outcome = self._attempt(request, timeout_s)
            delay_s = self._retry.delay_s(outcome, attempt=attempt)
            if delay_s is None:
                return outcome
            self._sleep(delay_s)
            attempt += 1

    def _attempt(self, request: Request, timeout_s: float | None) -> httpx.Response | NoAnswer:
        try:
            return self._http.request(
                request.method,
                request.path,
                params=request.params,
                headers=request.headers,
                content=request.content,
                timeout=self.settings.timeout_s if timeout_s is None else timeout_s,
            )
        except httpx.RequestError as error:
            return no_answer(error, self.settings)
