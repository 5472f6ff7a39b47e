"""The query parameters of the routes that take work: tables that read requests and document
themselves.

Strict: an unknown name, a repeated name or a value of another form is refused, never guessed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gram_server.errors import ParameterInvalid
from gram_server.job import (
    COUNTS,
    DEFAULT_WIDTH,
    FALLBACKS,
    HALTS,
    MAX_SEED,
    PRIORITY_CLASSES,
)
from gram_server.jobs.entry import PLACE_PATTERN
from gram_server.settings import HttpConfig, Settings

Value = int | bool | str

CLUES = ("none", "unique")
"""Words for what becomes of the clues of a board that was made up."""
MAX_SIZE = 64
MAX_DECODES = 64
"""Trajectories that can be watched while they are on their way."""
MAX_THINNED = 64
"""Boards a request may have thinned: each takes the exact search about a tenth of a second."""
MIN_TRAJECTORIES = 16
"""Trajectories that a request for few boards may take by default."""

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

LAST_EVENT_HEADER = "Last-Event-ID"

_INTEGER = re.compile(r"[0-9]{1,19}")
_MAX_NAME = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter, or header; an integer with choices takes either."""

    name: str
    kind: Literal["integer", "boolean", "string"]
    description: str
    default: Value | None = None
    minimum: int = 1
    maximum: int = 0
    choices: tuple[str, ...] = ()
    pattern: str = ""
    """What a string looks like; empty for any."""
    where: Literal["query", "header"] = "query"

    def read(self, text: str) -> Value:
        """Return the value a text stands for; raise ``ParameterInvalid``."""
        if self.kind == "integer":
            return text if text in self.choices else self._read_integer(text)
        if self.kind == "boolean":
            return self._choose(text, ("true", "false")) == "true"
        if self.choices:
            return self._choose(text, self.choices)
        if not 0 < len(text) <= _MAX_NAME:
            raise self._refuse(f"must have 1 to {_MAX_NAME} characters")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise self._refuse(f"is not of its form: {text[:40]!a}")
        return text

    def document(self) -> dict[str, object]:
        """Return the parameter as OpenAPI describes it."""
        schema: dict[str, object] = {"type": self.kind}
        if self.kind == "integer":
            schema |= {"minimum": self.minimum, "maximum": self.maximum}
            if self.choices:
                schema = {"anyOf": [{"type": "string", "enum": list(self.choices)}, schema]}
        elif self.choices:
            schema["enum"] = list(self.choices)
        elif self.kind == "string":
            schema |= {"minLength": 1, "maxLength": _MAX_NAME}
            if self.pattern:
                schema["pattern"] = f"^{self.pattern}$"
        if self.default is not None:
            schema["default"] = self.default
        return {
            "name": self.name,
            "in": self.where,
            "required": False,
            "description": self.description,
            "schema": schema,
        }

    def _read_integer(self, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            wanted = " or ".join((*self.choices, "an integer"))
            raise self._refuse(f"must be {wanted}, not {text[:40]!a}")
        if not self.minimum <= int(text) <= self.maximum:
            raise self._refuse(f"must be {self.minimum} to {self.maximum}, not {int(text)}")
        return int(text)

    def _choose(self, text: str, choices: Sequence[str]) -> str:
        if text not in choices:
            raise self._refuse(f"must be one of {', '.join(choices)}, not {text[:40]!a}")
        return text

    def _refuse(self, reason: str) -> ParameterInvalid:
        return ParameterInvalid(f"{self.name} {reason}", field=self.name)


LAST_EVENT = Parameter(
    name=LAST_EVENT_HEADER,
    kind="integer",
    where="header",
    minimum=0,
    maximum=2**53,
    description="Go on after the event of this id.",
)
SEED = Parameter(
    name="seed",
    kind="integer",
    minimum=0,
    maximum=MAX_SEED,
    description="Repeats a call exactly; drawn at random and returned by default.",
)

SOLVING = (
    Parameter(
        name="augment",
        kind="boolean",
        default=True,
        description="Let each trajectory look at its own symmetric view of the puzzle.",
    ),
    Parameter(
        name="halt",
        kind="string",
        default="verified",
        choices=HALTS,
        description="When a trajectory stops before `depth`: at a verified answer, at the "
        "halt head's word, or never.",
    ),
    Parameter(
        name="fallback",
        kind="string",
        default="none",
        choices=FALLBACKS,
        description="What answers when no trajectory does.",
    ),
    Parameter(
        name="count",
        kind="string",
        default="none",
        choices=COUNTS,
        description="Whether to count all solutions into `completeness.total`.",
    ),
    Parameter(
        name="model",
        kind="string",
        description="Model to use, as `name` or `name@fingerprint`; the puzzle's by default.",
    ),
    Parameter(
        name="decodes",
        kind="integer",
        default=0,
        minimum=0,
        maximum=MAX_DECODES,
        description="Trajectories whose answers a stream shows while they are on their way, "
        "as events `progress`; without a stream it does nothing.",
    ),
)
"""Parameters of ``POST /solve`` that no setting bounds."""

BOARD_SIZE = Parameter(
    name="size",
    kind="integer",
    maximum=MAX_SIZE,
    description="Side of the boards; the largest that a loaded model makes by default.",
)
BOARD_DISTINCT = Parameter(
    name="distinct",
    kind="boolean",
    default=True,
    description="Return no board twice.",
)
BOARD_CLUES = Parameter(
    name="clues",
    kind="integer",
    choices=CLUES,
    default="none",
    maximum=MAX_SIZE**2,
    description="Thin each board to a puzzle whose only solution it is: `unique` takes "
    "away every clue that can be, a number stops there. "
    f"At most {MAX_THINNED} boards a request.",
)
BOARD_HALT = Parameter(
    name="halt",
    kind="string",
    default="verified",
    choices=("verified", "act"),
    description="When a trajectory stops before `depth`: at a valid board, or at the halt "
    "head's word, which leaves the model to itself.",
)
BOARD_AUGMENT = Parameter(
    name="augment",
    kind="boolean",
    default=False,
    description="Show each board through a symmetry of its own.",
)
BOARD_MODEL = Parameter(
    name="model",
    kind="string",
    description="Model to use, as `name` or `name@fingerprint`; one trained to make up "
    "boards by default.",
)


def _depth(http: HttpConfig) -> Parameter:
    return Parameter(
        name="depth",
        kind="integer",
        maximum=http.max_depth,
        description="Supervision steps each may take; the model's own number by default.",
    )


def _deadline(http: HttpConfig) -> Parameter:
    return Parameter(
        name="deadline_ms",
        kind="integer",
        maximum=http.max_deadline_ms,
        description="Answer with what was found by then, with status `partial`.",
    )


def solve_parameters(http: HttpConfig, puzzles: Sequence[str]) -> tuple[Parameter, ...]:
    """Return the parameters of ``POST /solve`` under the configured limits."""
    return (
        Parameter(
            name="puzzle",
            kind="string",
            choices=tuple(puzzles),
            description="Family of a puzzle posted as text, or as JSON without `puzzle`.",
        ),
        Parameter(
            name="width",
            kind="integer",
            default=DEFAULT_WIDTH,
            maximum=http.max_width,
            description="Trajectories to sample.",
        ),
        _depth(http),
        Parameter(
            name="max_solutions",
            kind="integer",
            maximum=http.max_width,
            description="Stop at this many distinct solutions; explores the width by default.",
        ),
        _deadline(http),
        SEED,
        *SOLVING,
    )


def job_parameters(http: HttpConfig, puzzles: Sequence[str]) -> tuple[Parameter, ...]:
    """Return the parameters of ``POST /jobs``: those of ``POST /solve``, and the class."""
    priority = Parameter(
        name="priority",
        kind="string",
        default=PRIORITY_CLASSES[1],
        choices=PRIORITY_CLASSES,
        description="Class that the job waits in; a higher one is served first.",
    )
    return (*solve_parameters(http, puzzles), priority)


def page_parameters() -> tuple[Parameter, ...]:
    """Return the parameters of ``GET /jobs``."""
    return (
        Parameter(
            name="limit",
            kind="integer",
            default=PAGE_SIZE,
            maximum=MAX_PAGE_SIZE,
            description="Jobs to return at most.",
        ),
        Parameter(
            name="cursor",
            kind="string",
            pattern=PLACE_PATTERN,
            description="Where to go on: the `cursor` of the part before.",
        ),
    )


def wait_parameters(http: HttpConfig) -> tuple[Parameter, ...]:
    """Return the parameters of ``GET /jobs/{id}``."""
    return (
        Parameter(
            name="wait",
            kind="integer",
            minimum=0,
            maximum=http.max_wait_s,
            description="Seconds to wait for the end of the job before it is shown.",
        ),
    )


def generate_parameters(settings: Settings, puzzles: Sequence[str]) -> tuple[Parameter, ...]:
    """Return the parameters of ``POST /generate`` under the configured limits."""
    http = settings.http
    return (
        Parameter(
            name="puzzle",
            kind="string",
            default="sudoku",
            choices=tuple(puzzles),
            description="Family of the boards.",
        ),
        BOARD_SIZE,
        Parameter(
            name="count",
            kind="integer",
            default=1,
            maximum=http.max_width,
            description="Boards to return.",
        ),
        BOARD_DISTINCT,
        BOARD_CLUES,
        Parameter(
            name="max_trajectories",
            kind="integer",
            maximum=settings.queue.max_trajectories,
            description="Trajectories to sample at most; twice `count` and at least "
            f"{MIN_TRAJECTORIES} by default. They count against the bound of the queue.",
        ),
        _depth(http),
        BOARD_HALT,
        BOARD_AUGMENT,
        _deadline(http),
        SEED,
        BOARD_MODEL,
    )


def read_parameters(
    items: Sequence[tuple[str, str]], parameters: Sequence[Parameter]
) -> dict[str, Value]:
    """Return the values of a query string, without defaults."""
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Value] = {}
    for name, text in items:
        if name not in known:
            expected = ", ".join(sorted(known))
            raise ParameterInvalid(
                f"there is no parameter {name[:40]!a}: there are {expected}", field=name[:40]
            )
        if name in values:
            raise ParameterInvalid(f"{name} is given more than once", field=name)
        values[name] = known[name].read(text)
    return values
