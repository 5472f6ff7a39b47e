"""What the server says, as frozen pydantic models; unknown fields are ignored, so that an older
client reads a newer server. Knows no HTTP.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Answer = str | list[str] | list[int] | list[int | None] | list[list[int]] | list[list[list[int]]]
"""An answer in the form the puzzle was posted in; None marks what a best attempt left open."""


class Model(BaseModel):
    """Base of everything read from the server."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class First(Model):
    """The trajectory that found a solution first."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""


class Solution(Model):
    """A distinct answer that passed exact verification."""

    answer: Answer
    votes: int
    """Trajectories that arrived at it."""
    source: Literal["model", "exact"]
    value: float | None = None
    """The value head's opinion of it, about 0 to 1; None where no trajectory found it."""
    first: First | None = None
    """None where no trajectory found it."""


class Completeness(Model):
    """How much of the set of solutions was seen."""

    estimate: float | None = None
    """Good-Turing's estimate: 1 - solutions seen once / valid trajectories."""
    total: int | None = None
    """Exact number of solutions, where ``count="exact"`` asked for it."""


class Violation(Model):
    """One broken rule of a wrong answer."""

    rule: str
    cells: tuple[tuple[int, ...], ...] = ()


class BestAttempt(Model):
    """The answer nearest to a solution where none was found."""

    answer: Answer
    violations: tuple[Violation, ...] = ()


class Usage(Model):
    """What the job cost."""

    queue_ms: float
    engine_ms: float
    supervision_steps: int
    """Trajectory steps the engine spent on the job."""
    wasted_steps: int
    """Those of them that could not change the answer any more."""


class SolveResult(Model):
    """What ``solve`` returns."""

    id: str
    puzzle: str
    status: Literal["solved", "unsolved", "partial"]
    """``partial``: the deadline came before the work was done."""
    solutions: tuple[Solution, ...]
    distinct: int
    valid_trajectories: int
    width: int
    depth: int
    completeness: Completeness
    best_attempt: BestAttempt | None = None
    usage: Usage
    seed: int
    """Repeats the call exactly, with the same model."""
    model: str
    """Name and fingerprint."""

    @property
    def is_solved(self) -> bool:
        """Whether there is at least one solution."""
        return bool(self.solutions)


class Board(Model):
    """A board that a trajectory made up, and that passed exact verification."""

    answer: Answer
    puzzle: Answer | None = None
    """Thinned from the answer, which is its only solution; None without ``clues``."""
    clues: int | None = None
    """Givens of the puzzle."""
    value: float
    """The value head's opinion of the answer, about 0 to 1."""
    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""


class GenerateResult(Model):
    """What ``generate`` returns."""

    id: str
    puzzle: str
    task: str
    status: Literal["complete", "exhausted", "partial"]
    """``exhausted``: fewer boards than asked for, after ``max_trajectories``; ``partial``: the
    deadline came first."""
    boards: tuple[Board, ...]
    """In the order of their trajectories, which the seed repeats."""
    count: int
    """Boards asked for."""
    trajectories: int
    """Trajectories that ended, up to the last board's."""
    valid_trajectories: int
    """Those of them that ended in a valid board."""
    distinct: int
    """Different boards among the valid ones."""
    validity: float | None = None
    """Valid of all trajectories that ended."""
    uniqueness: float | None = None
    """Different of all valid boards."""
    max_trajectories: int
    depth: int
    usage: Usage
    seed: int
    """Repeats the call exactly, with the same model."""
    model: str
    """Name and fingerprint."""

    @property
    def is_complete(self) -> bool:
        """Whether there are as many boards as asked for."""
        return len(self.boards) == self.count


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
    request_id: str | None = None
    errors: tuple[Issue, ...] = ()


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
    """``generate`` where it makes up boards from an empty one."""


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
