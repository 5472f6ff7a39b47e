"""Servers of the same weights to compare with, and how they are started."""

__all__: list[str] = []
