"""Measurements of the engine, each one command of ``gram-lab bench``."""

__all__: list[str] = []
