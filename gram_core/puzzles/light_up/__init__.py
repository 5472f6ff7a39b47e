"""Light Up (Akari): rules, input formats and generation."""

from gram_core.puzzles.light_up.board import LightUpBoard
from gram_core.puzzles.light_up.family import LightUp

__all__ = ["LightUp", "LightUpBoard"]
