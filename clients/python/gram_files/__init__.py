"""Puzzles in the files that people have, whatever their form: one reader for all programs.

Finds the puzzles in a file and where each stands; does not know their rules. Needs nothing but
Python, and numpy for arrays.
"""

from gram_files.entries import Entry, Item, Unread
from gram_files.reader import read, read_file

__all__ = ["Entry", "Item", "Unread", "read", "read_file"]
