"""Where jobs wait and results are kept: one interface, its stores, and the RPC to a worker."""

from gram_server.jobs.store import JobStore, QueueStats, WorkerStore

__all__ = ["JobStore", "QueueStats", "WorkerStore"]
