"""Measures checkpoints: solve rates, coverage and cost, by width and depth."""

__all__: list[str] = []
