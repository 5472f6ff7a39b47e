"""Tasks of the Abstraction and Reasoning Corpus: grids, canvas, symmetries; no rules."""

from gram_core.puzzles.arc.family import Arc
from gram_core.puzzles.arc.grids import ArcTask, Pair

__all__ = ["Arc", "ArcTask", "Pair"]
