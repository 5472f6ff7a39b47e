"""The phases of a block inside the fused step: enter a stack, attend, finish."""

__all__: list[str] = []
