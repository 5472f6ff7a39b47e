"""Futoshiki: rules, input formats and generation."""

from gram_core.puzzles.futoshiki.board import FutoshikiBoard
from gram_core.puzzles.futoshiki.family import Futoshiki

__all__ = ["Futoshiki", "FutoshikiBoard"]
