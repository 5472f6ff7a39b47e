"""What one writes first: a FastAPI route that runs the model, one request after the other."""

import argparse
import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from gram_lab.bench.targets.plain_solver import PlainSolver


def create_app(solver: PlainSolver) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    turn = asyncio.Lock()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/solve")
    async def solve(request: Request) -> dict[str, Any]:
        body = await request.json()
        # More than one at a time only makes them wait for each other's processors.
        async with turn:
            return (await asyncio.to_thread(solver.solve, [body]))[0]

    return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--num-threads", type=int, required=True)
    parser.add_argument("--model", dest="models", action="append", required=True)
    options = parser.parse_args()
    app = create_app(PlainSolver(options.models, num_threads=options.num_threads))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
