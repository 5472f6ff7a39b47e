"""Measurements of the engine, each one command of ``gram-server bench``."""

__all__: list[str] = []
