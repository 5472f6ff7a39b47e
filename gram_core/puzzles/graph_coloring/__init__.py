"""Graph colouring: rules, input formats and generation."""

from gram_core.puzzles.graph_coloring.family import GraphColoring
from gram_core.puzzles.graph_coloring.graph import ColoringGraph

__all__ = ["ColoringGraph", "GraphColoring"]
