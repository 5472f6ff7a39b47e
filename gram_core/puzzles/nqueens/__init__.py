"""N-Queens: rules, input formats and generation."""

from gram_core.puzzles.nqueens.board import QueensBoard
from gram_core.puzzles.nqueens.family import NQueens

__all__ = ["NQueens", "QueensBoard"]
