"""Ops that the model and the engine share, each with a reference in PyTorch."""

__all__: list[str] = []
