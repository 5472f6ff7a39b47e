"""Mazes: rules, input formats, shortest paths and generation."""

from gram_core.puzzles.maze.family import Maze
from gram_core.puzzles.maze.grid import MazeGrid

__all__ = ["Maze", "MazeGrid"]
