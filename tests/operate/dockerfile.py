"""Reads a Dockerfile, and rehearses a stage without Docker: its steps run in a clean folder.

COPY and RUN are carried out with /src, /dist and /opt below that folder. Packages of the base image
and of apt are those of this machine.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MOVED = re.compile(r"(?<![\w.-])/(src|dist|opt)(?=[/\s\"'*]|$)")


class Step(NamedTuple):
    word: str
    text: str


@dataclass(slots=True)
class Stage:
    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def last(self, word: str) -> str | None:
        return next((step.text for step in reversed(self.steps) if step.word == word), None)

    def all(self, word: str) -> list[str]:
        return [step.text for step in self.steps if step.word == word]


def read(path: Path) -> tuple[list[Step], dict[str, Stage]]:
    """Return the instructions before the first stage, and the stages by name."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    head: list[Step] = []
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(name=name, base=base)
        elif stage is None:
            head.append(Step(word, rest))
        else:
            stage.steps.append(Step(word, rest))
    return head, stages


@dataclass(slots=True)
class Rehearsal:
    """Carries stages out, each in a folder of its own below one."""

    stages: dict[str, Stage]
    context: Path
    folder: Path
    arguments: dict[str, str] = field(default_factory=dict)

    def build(self, name: str) -> Path:
        """Return the root of a finished stage."""
        root = self.folder / name
        if root.exists():
            return root
        root.mkdir(parents=True)
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for word, text in self.stages[name].steps:
            if word == "ENV":
                environment |= dict(part.split("=", 1) for part in shlex.split(text))
                environment["PATH"] = environment["PATH"].replace("${PATH}", os.environ["PATH"])
            elif word == "ARG":
                argument, _, default = text.partition("=")
                environment[argument] = self.arguments.get(argument, default)
            elif word == "COPY":
                self._copy(text, root)
            elif word == "RUN" and not text.startswith("apt-get"):
                self._run(text, root, environment)
        return root

    def _copy(self, text: str, root: Path) -> None:
        source_root = self.context
        if text.startswith("--from="):
            option, _, text = text.partition(" ")
            source_root = self.build(option.removeprefix("--from="))
        *sources, target = shlex.split(text)
        place = root / target.lstrip("/")
        for source in sources:
            path = source_root / source.lstrip("/")
            if not path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)
            elif source_root is self.context:
                copy_context(self.context, place)
            else:
                # A virtual environment knows its own place.
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(path)

    def _run(self, text: str, root: Path, environment: dict[str, str]) -> None:
        command = MOVED.sub(lambda match: f"{root}/{match[1]}", text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def copy_context(context: Path, place: Path) -> None:
    """Copy what .dockerignore lets through."""
    for line in (context / ".dockerignore").read_text().splitlines():
        if not line.startswith("!"):
            continue
        source, target = context / line[1:], place / line[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)


def entry(stage: Stage, root: Path) -> list[str]:
    """Return the command that the image's init would start with."""
    words = [*json.loads(stage.last("ENTRYPOINT") or "[]"), *json.loads(stage.last("CMD") or "[]")]
    assert words[:2] == ["/usr/bin/tini", "--"]
    return [MOVED.sub(lambda match: f"{root}/{match[1]}", word) for word in words[2:]]
