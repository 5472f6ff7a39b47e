"""The worker process: claims jobs from a store, feeds the engines, stores the results."""

from gram_server.worker.start import run_worker

__all__ = ["run_worker"]
