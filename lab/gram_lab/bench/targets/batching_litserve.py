"""The same weights under LitServe with dynamic batching: up to so many requests run together."""

import argparse
from collections.abc import Sequence
from typing import Any

import litserve

from gram_lab.bench.targets.plain_solver import PlainSolver

MAX_BATCH = 8
BATCH_TIMEOUT_S = 0.01


class PuzzleApi(litserve.LitAPI):  # type: ignore[misc]  # it ships no types
    """Hands LitServe's batches to the solver."""

    def __init__(self, models: Sequence[str], *, num_threads: int) -> None:
        super().__init__(api_path="/solve", max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S)
        self._model_names = tuple(models)
        self._num_threads = num_threads

    def setup(self, device: str) -> None:
        """Load the models, in LitServe's worker process."""
        self._solver = PlainSolver(self._model_names, num_threads=self._num_threads)

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the request as it is."""
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the requests of a batch."""
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Solve them together."""
        return self._solver.solve(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers one by one."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the answer as it is."""
        return output


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--num-threads", type=int, required=True)
    parser.add_argument("--model", dest="models", action="append", required=True)
    options = parser.parse_args()
    api = PuzzleApi(options.models, num_threads=options.num_threads)
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
