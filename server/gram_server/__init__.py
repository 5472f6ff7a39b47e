"""The service: an HTTP process without torch, and worker processes that run the engine."""

__version__ = "0.2.0"
"""The only definition of the version."""
