"""Sudoku: rules, boards as people write them, and boards of our own."""

from gram_core.puzzles.sudoku.family import Sudoku
from gram_core.puzzles.sudoku.grid import SudokuGrid

__all__ = ["Sudoku", "SudokuGrid"]
