"""Models of the server's own state: its puzzles, its models, its readiness."""

from gram_client._models import Model


class PuzzleInfo(Model):
    """A puzzle family the server knows."""

    name: str
    tasks: tuple[str, ...] = ()


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


class PuzzleList(Model):
    """What ``GET /puzzles`` returns."""

    puzzles: tuple[PuzzleInfo, ...]


class ModelList(Model):
    """What ``GET /models`` returns."""

    models: tuple[ModelInfo, ...]


class Health(Model):
    """Whether the server takes work, and in its own words why not."""

    is_ready: bool
    reason: str = ""
