"""Ops that the model and the engine share: a reference in PyTorch each, on CPU and CUDA alike."""

__all__: list[str] = []
