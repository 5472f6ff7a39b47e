"""Graph colouring: rules, graphs as people write them, and graphs of our own."""

from gram_core.puzzles.graph_coloring.family import GraphColoring
from gram_core.puzzles.graph_coloring.graph import ColoringGraph

__all__ = ["ColoringGraph", "GraphColoring"]
