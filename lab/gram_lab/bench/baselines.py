"""Other servers of the same weights: a naive FastAPI loop, and LitServe with dynamic batches.

python -m gram_lab.bench.baselines {naive,litserve} --port N --num-threads N --model NAME
"""

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

import litserve
import uvicorn
from fastapi import FastAPI, Request

if TYPE_CHECKING:
    from gram_lab.bench.plain_solver import PlainSolver

Json = dict[str, Any]
MAX_BATCH = 8
BATCH_TIMEOUT_S = 0.01


def load(options: argparse.Namespace) -> "PlainSolver":
    """Import torch only in the process that runs the solver."""
    from gram_lab.bench.plain_solver import PlainSolver

    return PlainSolver(options.models, num_threads=options.num_threads)


def naive(options: argparse.Namespace) -> FastAPI:
    """Return an app with one route that runs the model on one request at a time."""
    solver, app, turn = load(options), FastAPI(), asyncio.Lock()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/solve")
    async def solve(request: Request) -> Json:
        body = await request.json()
        # Concurrent solves would only compete for the same cores.
        async with turn:
            return (await asyncio.to_thread(solver.solve, [body]))[0]

    return app


class PuzzleApi(litserve.LitAPI):  # type: ignore[misc]  # it ships no types
    """Hands LitServe's batches to the solver."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(api_path="/solve", max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S)
        self._options = options

    def setup(self, device: str) -> None:
        """Load the models, in LitServe's worker process."""
        self._solver = load(self._options)

    def predict(self, x: list[Json]) -> list[Json]:
        return self._solver.solve(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=("naive", "litserve"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--num-threads", type=int, required=True)
    parser.add_argument("--model", dest="models", action="append", required=True)
    options = parser.parse_args()
    where = {"host": "127.0.0.1", "port": options.port, "log_level": "warning"}
    if options.server == "naive":
        uvicorn.run(naive(options), access_log=False, **where)
    else:
        server = litserve.LitServer(PuzzleApi(options), accelerator="cpu", timeout=False)
        server.run(generate_client_file=False, **where)


if __name__ == "__main__":
    main()
