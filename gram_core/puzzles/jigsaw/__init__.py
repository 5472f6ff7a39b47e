"""Jigsaw sudoku: rules, input formats and generation."""

from gram_core.puzzles.jigsaw.board import JigsawBoard
from gram_core.puzzles.jigsaw.family import Jigsaw

__all__ = ["Jigsaw", "JigsawBoard"]
