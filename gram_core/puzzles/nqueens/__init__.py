"""N-Queens: rules, boards as people write them, and boards of our own."""

from gram_core.puzzles.nqueens.board import QueensBoard
from gram_core.puzzles.nqueens.family import NQueens

__all__ = ["NQueens", "QueensBoard"]
