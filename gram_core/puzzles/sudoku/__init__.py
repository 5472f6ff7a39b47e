"""Sudoku: rules, input formats and generation."""

from gram_core.puzzles.sudoku.family import Sudoku
from gram_core.puzzles.sudoku.grid import SudokuGrid

__all__ = ["Sudoku", "SudokuGrid"]
