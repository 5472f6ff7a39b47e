"""Puzzles to train and to measure on: pools, held-out splits, files, and a search for hard ones."""

__all__: list[str] = []
