"""Models of the server itself: its puzzles, its models, its readiness and its problems."""

from typing import Any

from gram_client._models import Model, Response


class PuzzleInfo(Model):
    """A puzzle family the server knows."""

    name: str
    tasks: tuple[str, ...] = ()
    example: dict[str, Any] | None = None
    """A puzzle of its first task."""
    walls: str = ""
    """Signs of its drawn form that no answer fills in."""


class ModelInfo(Model):
    """A model the server has loaded."""

    id: str
    """Name and fingerprint."""
    name: str
    task: str
    fingerprint: str
    depth: int
    """Default supervision steps."""
    num_parameters: int
    purpose: str = "solve"
    """``generate`` where it generates boards from an empty one."""
    max_givens: int | None = None
    """Boards with at most so many givens go to this model where no other is named."""


class PuzzleList(Model):
    """What ``GET /puzzles`` returns."""

    puzzles: tuple[PuzzleInfo, ...]


class ModelList(Model):
    """What ``GET /models`` returns."""

    models: tuple[ModelInfo, ...]


class Health(Response):
    """Whether the server takes work, and in its own words why not."""

    is_ready: bool
    reason: str = ""


class Issue(Model):
    """One thing that is wrong with a request."""

    field: str = ""
    detail: str = ""
    cells: tuple[tuple[int, ...], ...] = ()
    rule: str | None = None

    def __str__(self) -> str:
        """Say it in one line: ``grid: 5 stands twice, cells (0, 0) (0, 8)``."""
        where = " ".join(f"({', '.join(map(str, cell))})" for cell in self.cells)
        text = f"{self.field}: {self.detail}" if self.field else self.detail
        return f"{text}, cells {where}" if where else text


class Problem(Model):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str = ""
    status: int | None = None
    detail: str = ""
    code: str | None = None
    retryable: bool | None = None
    """Whether trying again may help; None where the server does not say."""
    request_id: str | None = None
    errors: tuple[Issue, ...] = ()
    retry_after_s: float | None = None
