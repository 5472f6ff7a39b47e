"""Headings of ``.sdk`` files: ``[Puzzle]`` is wanted, ``[State]`` and others are not."""

import re
from collections.abc import Iterator

SECTION = re.compile(r"\[\s*[A-Za-z][\w -]*\]")


def is_section(line: str) -> bool:
    """Return whether a line is a heading, and no JSON list."""
    return SECTION.fullmatch(line.strip()) is not None


def wanted_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines, headings included; with ``[Puzzle]`` no other sections."""
    lines = text.splitlines()
    has_puzzles = any(_is_puzzle(line) for line in lines)
    is_wanted = True
    for number, line in enumerate(lines, start=1):
        if is_section(line):
            is_wanted = not has_puzzles or _is_puzzle(line)
        if is_wanted:
            yield number, line


def _is_puzzle(line: str) -> bool:
    return is_section(line) and line.strip(" \t[]").casefold() == "puzzle"
