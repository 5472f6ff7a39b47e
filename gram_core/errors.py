"""Errors of the core, and the issues that locate them in a puzzle.

CoreError
  UserError               the caller can fix it
    PuzzleInvalid         carries issues: field, cells, rule
    UnknownTask
    UnknownPuzzle
  ConfigError
  CheckpointError
  GenerateFailed
  ExactUnavailable
  ExactTimeout
"""

from collections.abc import Sequence
from dataclasses import dataclass


class CoreError(Exception):
    """Root of all errors that gram_core raises on purpose."""

    code = "core_error"
    """Stable name of the cause, for programs."""


class UserError(CoreError):
    """The caller sent something that they can correct."""

    code = "user_error"
    field: str | None = "puzzle"
    """Where in the body."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with a posted puzzle."""

    field: str
    """Where in the body: ``grid``, ``queens[1]``."""
    detail: str
    """One sentence for people."""
    cells: tuple[tuple[int, ...], ...] = ()
    """The cells concerned: (row, column) on a board, (vertex,) in a graph."""
    rule: str | None = None
    """The broken rule, such as ``row 0``; None if the issue is not about a rule."""


class PuzzleInvalid(UserError):
    """A puzzle that cannot be read or that contradicts itself."""

    code = "puzzle_invalid"

    def __init__(self, issues: Sequence[Issue]) -> None:
        if not issues:
            raise ValueError("an invalid puzzle needs at least one issue")
        super().__init__("; ".join(f"{issue.field}: {issue.detail}" for issue in issues))
        self.issues: tuple[Issue, ...] = tuple(issues)


class UnknownTask(UserError):
    """A task name that no puzzle family knows."""

    code = "unknown_task"


class UnknownPuzzle(UserError):
    """A puzzle name without a family."""

    code = "unknown_puzzle"


class ConfigError(CoreError):
    """A configuration value that cannot work."""

    code = "config_invalid"

    def __init__(self, field: str, value: object, detail: str) -> None:
        super().__init__(f"{field} = {value!r}: {detail}")
        self.field = field
        self.value = value


class CheckpointError(CoreError):
    """A checkpoint that cannot be read or does not fit."""

    code = "checkpoint_invalid"


class GenerateFailed(CoreError):
    """No instance with the wanted number of solutions was found."""

    code = "generate_failed"


class ExactUnavailable(CoreError):
    """The exact solver is not installed."""

    code = "exact_unavailable"


class ExactTimeout(CoreError):
    """The exact solver ran out of time: the solutions yielded so far may be incomplete."""

    code = "exact_timeout"
