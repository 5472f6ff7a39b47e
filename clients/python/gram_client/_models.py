"""The server's responses as frozen pydantic models; unknown fields are ignored, so that an older
client reads a newer server. Knows no HTTP.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from gram_client import _drawing
from gram_client._drawing import Answer, Grid, PuzzleShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUM_SHOWN = 24
"""Answers of one result in a notebook."""


class Model(BaseModel):
    """Base of everything read from the server."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the server sent them; ``model_validate`` reads them back."""
        return self.model_dump(mode="json")


class Response(Model):
    """Base of what is read from a whole response."""

    @cached_property
    def request_id(self) -> str | None:
        """Id of the request in the server's log; None of a part of an answer.

        It is no part of the value: equal answers to two requests are equal.
        """
        return None

    def _of_request(self, request_id: str | None) -> Self:
        # As a cached property keeps it.
        self.__dict__["request_id"] = request_id
        return self


class DrawableAnswer(Model):
    """Base of answers, which can be drawn once their puzzle is known."""

    answer: Answer
    """In the form the puzzle was posted in."""

    _shape: PuzzleShape = PrivateAttr(default_factory=PuzzleShape)

    @property
    def grid(self) -> Grid | None:
        """The board by rows: digits, 1 for a queen, a maze's characters; None for a graph."""
        return _drawing.grid(self._shape, self.answer)

    def to_numpy(self) -> "NDArray[np.generic]":
        """Return the board, or where there is none the answer, as an array; needs numpy."""
        import numpy

        board = self.grid
        return numpy.asarray(self.answer if board is None else board)

    @property
    def colors(self) -> dict[Hashable, int | None] | None:
        """The color of each vertex, by the graph's own nodes or else by number; None for others."""
        if self._shape.puzzle != "graph-coloring":
            return None
        nodes = self._shape.nodes or range(len(self.answer))
        colors = [color for color in self.answer if not isinstance(color, str | list)]
        return dict(zip(nodes, colors, strict=False))

    def __str__(self) -> str:
        """Draw the board."""
        return _drawing.text(self._shape, self.answer)

    def _repr_html_(self) -> str:
        return _drawing.html(self._shape, self.answer)

    def model_post_init(self, context: object, /) -> None:
        """Take the shape of the puzzle from who reads the answer, if that knows it."""
        if isinstance(context, PuzzleShape):
            self._shape = context


class First(Model):
    """The trajectory that found a solution first."""

    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""


class Solution(DrawableAnswer):
    """A distinct answer that passed exact verification."""

    votes: int
    """Trajectories that arrived at it."""
    source: Literal["model", "exact"]
    value: float | None = None
    """The value head's opinion of it, about 0 to 1; None where no trajectory found it."""
    first: First | None = None
    """None where no trajectory found it."""


class Candidate(DrawableAnswer):
    """An answer that may be right: nothing can verify it, and votes have chosen it."""

    votes: int
    """Trajectories that arrived at it."""
    value: float
    """The value head's opinion of it, about 0 to 1."""
    first: First


class Completeness(Model):
    """How much of the set of solutions was seen."""

    estimate: float | None = None
    """By ``method``; None where too few trajectories found a solution."""
    total: int | None = None
    """Exact number of solutions, where it was asked for or is known all the same."""
    method: str | None = None
    """``exact``: ``estimate`` is solutions seen / all; ``good_turing``: the chance that one more
    trajectory finds nothing new, 1 - solutions seen once / valid trajectories."""
    total_status: str | None = None
    """``known``, or why ``total`` is None: ``more``, ``not_asked``, ``out_of_time``, ``failed``."""
    at_least: int | None = None
    """Solutions that there are at least."""


class Violation(Model):
    """One broken rule of a wrong answer."""

    rule: str
    cells: tuple[tuple[int, ...], ...] = ()


class Unsolvable(Model):
    """Proof that a puzzle has no solution."""

    reason: str
    """In one sentence."""
    cells: tuple[tuple[int, ...], ...] = ()
    """The cells concerned, where the givens alone show it."""


class BestAttempt(DrawableAnswer):
    """The answer nearest to a solution where none was found."""

    violations: tuple[Violation, ...] = ()


class Usage(Model):
    """What the job cost."""

    queue_ms: float
    engine_ms: float
    supervision_steps: int
    """Trajectory steps the engine spent on the job."""
    wasted_steps: int
    """Those of them that could not change the answer any more."""


class SolveResult(Response):
    """What ``solve`` returns."""

    id: str
    puzzle: str
    status: Literal["solved", "answered", "unsolved", "partial"]
    """``partial``: the deadline came before the work was done."""
    verified: bool = True
    """False where no rule tells a right answer: then there are ``candidates``, no solutions."""
    solutions: tuple[Solution, ...]
    candidates: tuple[Candidate, ...] = ()
    """The answers with most votes, at most two, where none can be verified."""
    distinct: int
    valid_trajectories: int
    width: int
    depth: int
    completeness: Completeness
    exact_search: str | None = None
    """How the search for ``fallback`` or ``count_solutions`` ended: ``complete``, ``limit``,
    ``time``, ``deadline``, ``busy``, ``unavailable`` or ``failed``; None where there was none."""
    best_attempt: BestAttempt | None = None
    usage: Usage
    seed: int
    """Repeats the call exactly, with the same model."""
    model: str
    """Name and fingerprint; ``exact`` where exact search alone answered."""
    unsolvable: Unsolvable | None = None
    """Set where it is proved that there is no solution; ``unsolved`` without it means given up."""
    padded_to: str | None = None
    """Task of the model, where that is larger than the puzzle, which was padded."""
    posted: str | dict[str, object] | None = None
    """The puzzle as the client sent it, on which the answers are drawn; None of a job's result."""

    @property
    def is_solved(self) -> bool:
        """Whether there is at least one solution."""
        return bool(self.solutions)

    @property
    def best(self) -> Solution | None:
        """The solution with most votes; None where there is none."""
        return self.solutions[0] if self.solutions else None

    @property
    def outcome(self) -> str:
        """How it went, in a few words."""
        if not self.verified:
            return f"not verified: {len(self.candidates)} candidates"
        why = "" if self.unsolvable is None else f", {self.unsolvable.reason}"
        return f"{self.status}: {self.distinct} distinct{why}"

    @property
    def _voted(self) -> tuple[Solution | Candidate, ...]:
        return (*self.solutions, *self.candidates)

    def __str__(self) -> str:
        """Say how it went, and draw the boards."""
        kind = "solution" if self.verified else "candidate"
        boards = [
            f"{kind} {number}, {answer.votes} votes\n{answer}"
            for number, answer in enumerate(self._voted, start=1)
        ]
        if not boards and self.best_attempt is not None:
            boards = [f"best attempt\n{self.best_attempt}"]
        return "\n".join([self.outcome, *boards])

    def _repr_html_(self) -> str:
        attempts = tuple(filter(None, [self.best_attempt]))
        shown: Sequence[DrawableAnswer] = self._voted or attempts
        captions = [f"{answer.votes} votes" for answer in self._voted] or ["best attempt"]
        return _figures(escape(self.outcome), captions, shown)

    def model_post_init(self, context: object, /) -> None:
        """Keep the puzzle, and let the answers know it: their drawings depend on it."""
        known = context if isinstance(context, PuzzleShape) else PuzzleShape(posted=self.posted)
        self.__dict__["posted"] = known.posted
        attempts = filter(None, [self.best_attempt])
        for answer in (*self._voted, *attempts):
            answer._shape = replace(known, puzzle=self.puzzle)


class Board(DrawableAnswer):
    """A board that a trajectory generated, and that passed exact verification."""

    puzzle: Answer | None = None
    """The answer with clues removed, its only solution; None without ``reduce_clues``."""
    clues: int | None = None
    """Givens of the puzzle."""
    value: float
    """The value head's opinion of the answer, about 0 to 1."""
    trajectory: int
    step: int
    """Supervision steps it had taken."""
    ms: float
    """Milliseconds since the job entered the engine."""

    def __str__(self) -> str:
        """Draw the puzzle, where there is one, and the answer."""
        if self.puzzle is None:
            return super().__str__()
        puzzle = _drawing.text(PuzzleShape(puzzle=self._shape.puzzle), self.puzzle)
        return f"puzzle, {self.clues} clues\n{puzzle}\nanswer\n{super().__str__()}"

    def _repr_html_(self) -> str:
        answer = super()._repr_html_()
        if self.puzzle is None:
            return answer
        puzzle = _drawing.html(PuzzleShape(puzzle=self._shape.puzzle), self.puzzle)
        return f"{puzzle}<br>{answer}"


class GenerateResult(Response):
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

    def __str__(self) -> str:
        """Draw the boards."""
        return "\n\n".join(str(board) for board in self.boards)

    def _repr_html_(self) -> str:
        captions = [f"{board.clues or 'all'} clues" for board in self.boards]
        return _figures(f"{self.status}: {len(self.boards)} boards", captions, self.boards)

    def model_post_init(self, context: object, /) -> None:
        """Let the boards know what they are boards of, and on which puzzles they are drawn."""
        for board in self.boards:
            board._shape = PuzzleShape(puzzle=self.puzzle, posted={"grid": board.puzzle})


def _figures(title: str, captions: Sequence[str], answers: Sequence[DrawableAnswer]) -> str:
    """Return answers side by side as HTML; of very many the first."""
    shown = zip(captions, answers[:NUM_SHOWN], strict=False)
    figures = [f"<div><p>{caption}</p>{answer._repr_html_()}</div>" for caption, answer in shown]
    if len(answers) > NUM_SHOWN:
        figures.append(f"<div>and {len(answers) - NUM_SHOWN} more</div>")
    style = "display:flex;flex-wrap:wrap;gap:1em"
    return f'<p>{title}</p><div style="{style}">{"".join(figures)}</div>'
