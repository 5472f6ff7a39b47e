"""Reads a Dockerfile: its stages, and what each does."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    word: str
    text: str


@dataclass(slots=True)
class Stage:
    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def last(self, word: str) -> str:
        """Return the text of the last step of a kind; empty where there is none."""
        return next((step.text for step in reversed(self.steps) if step.word == word), "")

    def all(self, word: str) -> list[str]:
        return [step.text for step in self.steps if step.word == word]


def read(path: Path) -> tuple[list[Step], dict[str, Stage]]:
    """Return the instructions before the first stage, and the stages by name."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    head: list[Step] = []
    stages: dict[str, Stage] = {}
    steps = head
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = Stage(name=name, base=base)
            steps = stages[name].steps
        else:
            steps.append(Step(word, rest))
    return head, stages
