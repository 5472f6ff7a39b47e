"""Which vectors of a puzzle embedding are of which task: the identifiers of a training set of ARC.

The sets that TRM's code builds name each view of a task by its id, how its grids are turned and how
they are colored, in ``identifiers.json``; the tasks that it tests on are in ``test_puzzles.json``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gram_core.errors import ConfigError, PuzzleInvalid
from gram_core.puzzles.arc.grids import read_task
from gram_core.puzzles.arc.learned import ORIGINAL, KnownTask, key_of

VIEW = re.compile(r"(?P<task>.+)\|\|\|(?P<turn>t[0-7])\|\|\|(?P<colors>0[1-9]{9})")
"""Of a view; the task as published has its bare id."""


class Known(NamedTuple):
    """What is to be kept of a puzzle embedding."""

    rows: list[int]
    """Numbers of its vectors, those of each task together and that of the task as published first.
    """
    tasks: dict[str, KnownTask]
    """By ``key_of``; the first of several tasks with equal pairs."""


def read_known(identifiers: Path, tasks: Path | None) -> Known:
    """Return the vectors of tasks, by default of those beside the identifiers.

    ``identifiers`` is the file or its folder. ``tasks`` is a file of tasks by their ids, as the
    competition has it, or a folder of ``ID.json``.

    Raises:
        ConfigError: there are no such files, or they know no task in common.
    """
    names_file = identifiers / "identifiers.json" if identifiers.is_dir() else identifiers
    names = _read(names_file)
    if not isinstance(names, list):
        raise ConfigError("identifiers", str(names_file), "must hold a list of names")
    views: dict[str, dict[str, int]] = defaultdict(dict)
    for row, name in enumerate(map(str, names)):
        match = VIEW.fullmatch(name)
        view = match["turn"] + match["colors"] if match else ORIGINAL
        views[match["task"] if match else name].setdefault(view, row)
    known = Known([], {})
    for name, task in _read_tasks(tasks or names_file.parent / "test_puzzles.json").items():
        key = _key(name, task)
        found = views.get(name, {})
        if ORIGINAL in found and key not in known.tasks:
            order = [ORIGINAL, *(view for view in found if view != ORIGINAL)]
            known.tasks[key] = KnownTask(len(known.rows), order)
            known.rows.extend(found[view] for view in order)
    if not known.tasks:
        raise ConfigError("tasks", str(tasks), f"none of them is in {names_file}")
    return known


def _read_tasks(path: Path) -> Mapping[str, Any]:
    if path.is_dir():
        return {each.stem: _read(each) for each in sorted(path.glob("*.json"))}
    found = _read(path)
    if not isinstance(found, dict):
        raise ConfigError("tasks", str(path), "must hold tasks by their ids")
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError("path", str(path), f"cannot be read: {error}") from error


def _key(name: str, task: object) -> str:
    try:
        fields = dict(task) if isinstance(task, Mapping) else {}
        return key_of(read_task({**fields, "test_index": 0}).pairs)
    except PuzzleInvalid as error:
        raise ConfigError("tasks", name, f"is no task of ARC: {error}") from error
