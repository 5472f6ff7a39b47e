"""The service: an HTTP process without torch, and worker processes that run the engine."""

__all__: list[str] = []
