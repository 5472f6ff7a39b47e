"""The phases after the blocks inside the fused step: guidance, then decode and heads."""

__all__: list[str] = []
