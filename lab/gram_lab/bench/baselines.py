"""Other servers of the same weights: a naive FastAPI loop, and LitServe with dynamic batches.

python -m gram_lab.bench.baselines {naive,litserve} --port N --num-threads N --model NAME
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import litserve
import uvicorn
from fastapi import FastAPI, Request

if TYPE_CHECKING:
    from gram_lab.bench.plain_solver import PlainSolver

Json = dict[str, Any]
MAX_BATCH = 8
BATCH_TIMEOUT_S = 0.01


def load(models: Sequence[str], *, num_threads: int) -> "PlainSolver":
    """Import torch only in the process that runs the solver."""
    from gram_lab.bench.plain_solver import PlainSolver

    return PlainSolver(models, num_threads=num_threads)


def naive(models: Sequence[str], *, port: int, num_threads: int) -> None:
    """Serve one route that runs the model on one request at a time."""
    solver, app, turn = load(models, num_threads=num_threads), FastAPI(), asyncio.Lock()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/solve")
    async def solve(request: Request) -> Json:
        body = await request.json()
        # Concurrent solves would only compete for the same cores.
        async with turn:
            return (await asyncio.to_thread(solver.solve, [body]))[0]

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


class PuzzleApi(litserve.LitAPI):  # type: ignore[misc]  # it ships no types
    """Hands LitServe's batches to the solver."""

    def __init__(self, models: Sequence[str], *, num_threads: int) -> None:
        super().__init__(api_path="/solve", max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S)
        self._names, self._num_threads = tuple(models), num_threads

    def setup(self, device: str) -> None:
        """Load the models, in LitServe's worker process."""
        self._solver = load(self._names, num_threads=self._num_threads)

    def predict(self, x: list[Json]) -> list[Json]:
        return self._solver.solve(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=("naive", "litserve"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--num-threads", type=int, required=True)
    parser.add_argument("--model", dest="models", action="append", required=True)
    options = parser.parse_args()
    if options.server == "naive":
        naive(options.models, port=options.port, num_threads=options.num_threads)
        return
    api = PuzzleApi(options.models, num_threads=options.num_threads)
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
