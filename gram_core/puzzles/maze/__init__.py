"""Mazes: rules, boards as people draw them, shortest paths, and boards of our own."""

from gram_core.puzzles.maze.family import Maze
from gram_core.puzzles.maze.grid import MazeGrid

__all__ = ["Maze", "MazeGrid"]
