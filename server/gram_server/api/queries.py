"""The query parameters of each route, as models that read and describe them.

Strict: unknown names, repeated names and malformed values are refused.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from gram_core.puzzles import Generative, families
from gram_core.puzzles.graph_coloring.graph import MAX_COLORS
from gram_server.errors import ParameterInvalid
from gram_server.job import DEFAULT_WIDTH, MAX_SEED, Count, Fallback, Priority
from gram_server.jobs.queued_job import SORT_KEY_PATTERN
from gram_server.settings import Settings

MAX_SIZE = 64
MAX_SHOWN = 64
"""Trajectories that a stream can show while they run."""
MAX_REDUCED = 64
"""Boards a request may have reduced: each takes the exact search about a tenth of a second."""
MIN_TRAJECTORIES = 16
"""Default of ``max_trajectories`` for few boards."""
MAX_NAME = 256

LAST_EVENT_HEADER = "Last-Event-ID"

_DIGITS = re.compile(r"[0-9]{1,19}")
_Query = TypeVar("_Query", bound="Query")
Document = dict[str, Any]


def _to_int(text: str) -> int:
    # int() also accepts signs, spaces, underscores and digits of other scripts.
    if not _DIGITS.fullmatch(text):
        raise ValueError("not an integer")
    return int(text)


def _to_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


GENERATIVE = [name for name, known in families().items() if isinstance(known, Generative)]

Whole = Annotated[int, BeforeValidator(_to_int)]
Positive = Annotated[int, BeforeValidator(_to_int), Field(ge=1)]
Flag = Annotated[bool, BeforeValidator(_to_bool)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Cursor = Annotated[Name, Field(pattern=f"^{SORT_KEY_PATTERN}$")]
FamilyName = Annotated[
    str,
    Field(pattern=f"^({'|'.join(map(re.escape, families()))})$"),
    WithJsonSchema({"type": "string", "enum": [*families()]}),
]
GenerativeName = Annotated[
    str,
    Field(pattern=f"^({'|'.join(map(re.escape, GENERATIVE))})$"),
    WithJsonSchema({"type": "string", "enum": GENERATIVE}),
]


class Query(BaseModel):
    """Base of all, and the query of a route without parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SolveQuery(Query):
    """Parameters of ``POST /solve``."""

    puzzle: FamilyName | None = None
    """Family of a puzzle posted as text, or as JSON without `puzzle`."""
    colors: Annotated[Positive, Field(le=MAX_COLORS)] | None = None
    """Colors of a graph posted as text, or as JSON without `colors`; 3 by default."""
    width: Positive = DEFAULT_WIDTH
    """Trajectories to sample."""
    depth: Positive | None = None
    """Supervision steps each may take; the model's own number by default."""
    max_solutions: Positive | None = None
    """Stop at this many distinct solutions; explores the width by default."""
    deadline_ms: Positive | None = None
    """Answer with what was found by then, with status `partial`."""
    seed: Annotated[Whole, Field(ge=0, le=MAX_SEED)] | None = None
    """Repeats a call exactly; drawn at random and returned by default."""
    augment: Flag = True
    """Let each trajectory look at its own symmetric view of the puzzle."""
    halt: Literal["verified", "halt_head", "settled", "never"] = "verified"
    """When a trajectory stops before `depth`: at a verified answer, at the halt head's word, when
    its answer has `settled` (has stayed the same over five steps), or never: then it goes on after
    a solution and may find others."""
    fallback: Fallback = "none"
    """What answers when no trajectory does."""
    count_solutions: Count = "none"
    """Whether to count all solutions into `completeness.total`."""
    best_attempt: Flag = True
    """Show the nearest answer, with the rules that it breaks, where none was found."""
    model: Name | None = None
    """Model to use, as `name` or `name@fingerprint`; the puzzle's by default."""
    show_trajectories: Annotated[Whole, Field(ge=0, le=MAX_SHOWN)] = 0
    """Trajectories whose answers a stream shows while they are on their way, as events `progress`;
    without a stream it does nothing."""

    @property
    def fields(self) -> Mapping[str, object]:
        """Fields of a puzzle's body that stand in the query instead."""
        return {} if self.colors is None else {"colors": self.colors}


class JobQuery(SolveQuery):
    """Parameters of ``POST /jobs``."""

    priority: Priority = "normal"
    """Class that the job waits in; a higher one is served first."""


class GenerateQuery(Query):
    """Parameters of ``POST /generate``."""

    puzzle: GenerativeName = "sudoku"
    """Family of the boards."""
    size: Annotated[Positive, Field(le=MAX_SIZE)] | None = None
    """Side of the boards; the largest that a loaded model makes by default."""
    count: Positive = 1
    """Boards to return."""
    distinct: Flag = True
    """Return no board twice."""
    reduce_clues: Literal["none", "unique"] | Annotated[Positive, Field(le=MAX_SIZE**2)] = "none"
    """Reduce each board to a puzzle whose only solution it is: `unique` takes away every clue that
    can be, a number stops there. At most 64 boards a request."""
    max_trajectories: Positive | None = None
    """Trajectories to sample at most; twice `count` and at least 16 by default. They count against
    the bound of the queue."""
    depth: Positive | None = None
    """Supervision steps each may take; the model's own number by default."""
    halt: Literal["verified", "halt_head", "settled"] = "verified"
    """When a trajectory stops before `depth`: at a valid board, or, which leaves the model to
    itself, at the halt head's word or when its board has `settled` (has stayed the same over five
    steps)."""
    augment: Flag = False
    """Show each board through a symmetry of its own."""
    deadline_ms: Positive | None = None
    """Answer with what was found by then, with status `partial`."""
    seed: Annotated[Whole, Field(ge=0, le=MAX_SEED)] | None = None
    """Repeats a call exactly; drawn at random and returned by default."""
    model: Name | None = None
    """Model to use, as `name` or `name@fingerprint`; one trained to generate by default."""


class PageQuery(Query):
    """Parameters of ``GET /jobs``."""

    limit: Annotated[Positive, Field(le=200)] = 50
    """Jobs to return at most."""
    cursor: Cursor | None = None
    """Where to go on: the `cursor` of the part before."""


class WaitQuery(Query):
    """Parameters of ``GET /jobs/{id}``."""

    wait: Annotated[Whole, Field(ge=0)] = 0
    """Seconds to wait for the end of the job before it is shown."""


class EventHeaders(Query):
    """Headers of ``GET /jobs/{id}/events``."""

    last_event: Annotated[Whole, Field(ge=0, le=2**53)] = Field(0, alias=LAST_EVENT_HEADER)
    """Go on after the event of this id."""


@cache
def bounded(model: type[_Query], settings: Settings) -> type[_Query]:
    """Return the model with upper bounds from the settings."""
    http, max_trajectories = settings.http, settings.queue.max_trajectories
    maxima = {
        "width": http.max_width,
        "depth": http.max_depth,
        "max_solutions": http.max_width,
        "count": http.max_width,
        "max_trajectories": max_trajectories,
        "deadline_ms": http.max_deadline_ms,
        "wait": http.max_wait_s,
    }
    fields: dict[str, Any] = {}
    for name in maxima.keys() & model.model_fields.keys():
        field = model.model_fields[name]
        annotated: Any = Annotated
        kind = annotated[(field.annotation, *field.metadata, Field(le=maxima[name]))]
        fields[name] = (
            kind,
            Field(field.default, alias=field.alias, description=field.description),
        )
    return create_model(model.__name__, __base__=model, **fields)


def read_query(model: type[_Query], items: Sequence[tuple[str, str]]) -> _Query:
    """Return the parameters of a query string; raise ``ParameterInvalid``."""
    texts: dict[str, str] = {}
    for name, text in items:
        if name in texts:
            raise ParameterInvalid(f"{name} is given more than once", field=name)
        texts[name] = text
    try:
        return model.model_validate(texts)
    except ValidationError as error:
        name = str(error.errors(include_url=False, include_context=False)[0]["loc"][0])
        known = _schemas(model)
        if name not in known:
            raise ParameterInvalid(
                f"there is no parameter {name[:40]!a}: there are {', '.join(sorted(known))}",
                field=name[:40],
            ) from None
        reason = _what_is_wrong(known[name], texts[name])
        raise ParameterInvalid(f"{name} {reason}", field=name) from None


def describe(model: type[Query], *, where: str = "query") -> list[Document]:
    return [
        {
            "name": name,
            "in": where,
            "required": False,
            "description": schema["description"].replace("\n", " "),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in _schemas(model).items()
    ]


def _what_is_wrong(schema: Document, text: str) -> str:
    """Return why a text does not match its schema."""
    shown = f"{text[:40]!a}"
    parts = schema.get("anyOf", [schema])
    words = [word for part in parts for word in part.get("enum", ())]
    schema = parts[-1]
    if schema["type"] == "integer" and _DIGITS.fullmatch(text):
        return f"must be {schema['minimum']} to {schema['maximum']}, not {int(text)}"
    if schema["type"] == "integer":
        return f"must be {' or '.join((*words, 'an integer'))}, not {shown}"
    if words or schema["type"] == "boolean":
        return f"must be one of {', '.join(words or ('true', 'false'))}, not {shown}"
    if not 0 < len(text) <= MAX_NAME:
        return f"must have 1 to {MAX_NAME} characters"
    return f"is not of its form: {shown}"


@cache
def _schemas(model: type[Query]) -> dict[str, Document]:
    properties = model.model_json_schema()["properties"] if model.model_fields else {}
    return {name: _plain(schema) for name, schema in properties.items()}


def _plain(schema: Document) -> Document:
    """Return a schema without null, which a query string cannot express."""
    # Behind a custom validator, pydantic writes bounds under its own names.
    names = {"ge": "minimum", "le": "maximum"}
    plain = {names.get(key, key): value for key, value in schema.items() if key != "title"}
    if plain.get("default", ...) is None:
        del plain["default"]
    parts = [_plain(part) for part in plain.pop("anyOf", ()) if part != {"type": "null"}]
    return {**plain, "anyOf": parts} if len(parts) > 1 else {**plain, **dict(*parts)}
