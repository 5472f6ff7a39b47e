"""The family of docs/adding-a-puzzle.md, laid out as an installer would."""

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gram_core import puzzles

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-puzzle.md"
MODULE = "gram_latin"


def block(title: str) -> str:
    """Return a block of code of the page."""
    pattern = rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```'
    found = re.search(pattern, PAGE.read_text(), re.M | re.S)
    assert found is not None, title
    return found[1]


def install(folder: Path, points: dict[str, str] | None = None) -> None:
    """Put the package in a folder, with the entry points of the page or with others."""
    (folder / f"{MODULE}.py").write_text(block("gram_latin.py"))
    info = folder / "gram_latin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gram-latin\nVersion: 1.0\n")
    named = tomllib.loads(block("pyproject.toml"))["project"]["entry-points"]["gram.puzzles"]
    lines = [f"{name} = {value}" for name, value in (points or named).items()]
    (info / "entry_points.txt").write_text("\n".join(["[gram.puzzles]", *lines, ""]))


@contextmanager
def looked_up_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look families up anew, in a folder of the test's own too, and forget them at the end."""
    monkeypatch.syspath_prepend(folder)
    puzzles.families.cache_clear()
    yield
    puzzles.families.cache_clear()
    sys.modules.pop(MODULE, None)
