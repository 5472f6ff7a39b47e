"""Reads the body of a request as a puzzle instance, whatever its content type.

``curl -d`` declares a body as a form and ``curl --data-binary`` often does no better, so the first
character distinguishes JSON from text. The families parse and validate.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from gram_core.errors import Issue, PuzzleInvalid, UnknownTask
from gram_core.errors import UserError as CoreUserError
from gram_core.puzzles import FIRST_VALUE, AnyFamily, Task, families, family, task
from gram_server.api.decoding import decode, load_json
from gram_server.api.queries import MAX_NAME, SolveQuery
from gram_server.errors import (
    BodyInvalid,
    BodySlow,
    BodyTooLarge,
    MediaTypeUnsupported,
    ParameterInvalid,
    UserError,
)
from gram_server.settings import HttpConfig

JSON_MEDIA_TYPES = ("application/json", "text/json")
SNIFFED_MEDIA_TYPES = (
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
)

SDK_HEADING = re.compile(r"\s*\[\s*puzzle\s*\]", re.IGNORECASE)
MAX_PAIR = 2
"""Rows of what is hardly meant as a board."""
MAX_INLINE_BYTES = 4 << 10
"""Larger bodies are parsed in a thread, to keep the event loop free."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedPuzzle:
    """A puzzle that its family has parsed."""

    family: AnyFamily
    instance: object
    task: Task
    body: Mapping[str, object]
    """Canonical JSON body."""

    @property
    def is_refuted(self) -> bool:
        """Whether one look shows that there is no solution: then nothing is run."""
        return self.family.dead_end(self.instance) is not None

    def fits(self, name: str) -> bool:
        """Say whether a model of the task of that name takes the puzzle, as it is or padded."""
        try:
            other = task(name)
        except UnknownTask:
            # A worker may have families that this process lacks.
            return False
        is_of_family = other.family == self.family.name
        return is_of_family and self.family.pad(self.instance, other) is not None


class PostedBody(NamedTuple):
    """The puzzles in a body, of which a batch may hold many."""

    puzzles: Sequence[PostedPuzzle]
    is_batch: bool
    raw: bytes


async def read_puzzle(request: Request, query: SolveQuery, http: HttpConfig) -> PostedPuzzle:
    media_type = media_type_of(request)
    raw = await read_bytes(request, http)
    return await _parse(raw, partial(parse_puzzle, raw, query, media_type=media_type))


async def read_puzzles(request: Request, query: SolveQuery, http: HttpConfig) -> PostedBody:
    media_type = media_type_of(request)
    raw = await read_bytes(request, http)
    limit = http.max_batch
    return await _parse(raw, partial(_parse_batch, raw, query, media_type=media_type, limit=limit))


async def _parse(raw: bytes, parse: Callable[[], _T]) -> _T:
    return parse() if len(raw) <= MAX_INLINE_BYTES else await asyncio.to_thread(parse)


def _parse_batch(raw: bytes, query: SolveQuery, *, media_type: str, limit: int) -> PostedBody:
    text = decode(raw).strip()
    if not text.startswith("{"):
        # Leading spaces have a meaning in some texts.
        return PostedBody([parse_puzzle(raw, query, media_type=media_type)], False, raw)
    body = load_json(text)
    if not isinstance(body, dict) or "instances" not in body:
        return PostedBody([parse_object(body, query)], False, raw)
    if set(body) != {"instances"}:
        raise BodyInvalid("a batch has the field instances and no other", field="body")
    instances = body["instances"]
    if not isinstance(instances, list) or not 1 <= len(instances) <= limit:
        raise BodyInvalid(f"instances must be a list of 1 to {limit} puzzles", field="instances")
    puzzles = []
    for number, part in enumerate(instances):
        if not isinstance(part, str | dict | list):
            raise PuzzleInvalid([Issue(f"instances[{number}]", "must be an object or a string")])
        with naming(number):
            parse = parse_text if isinstance(part, str) else parse_object
            puzzles.append(parse(part, query))  # type: ignore[arg-type]  # of the type of the part
    return PostedBody(puzzles, True, raw)


@contextmanager
def naming(number: int | None) -> Iterator[None]:
    """Name the instance in a refusal of it; None stands for a puzzle that is no part of a batch."""
    where = f"instances[{number}]"
    try:
        yield
    except (PuzzleInvalid, CoreUserError, UserError) as error:
        if number is None:
            raise
        if isinstance(error, PuzzleInvalid):
            issues = [replace(issue, field=f"{where}.{issue.field}") for issue in error.issues]
            raise PuzzleInvalid(issues) from error
        named = type(error)(f"{where}: {error}")
        # Other fields are parameters, which no instance has of its own.
        named.field = f"{where}.puzzle" if error.field == "puzzle" else error.field
        raise named from error


async def refuse_body(request: Request, http: HttpConfig) -> None:
    """Read a request to its end; raise ``BodyInvalid`` if it has a body."""
    if (await read_bytes(request, http)).strip():
        raise BodyInvalid("the request takes no body", field="body")


def parse_puzzle(raw: bytes, query: SolveQuery, *, media_type: str) -> PostedPuzzle:
    text = decode(raw)
    if not text.strip():
        raise BodyInvalid("the body is empty: post a puzzle", field="body")
    if _is_json(media_type) or (text.lstrip()[0] in "{[" and not SDK_HEADING.match(text)):
        return parse_object(load_json(text.strip()), query)
    # A maze may begin with a space, which is a free cell.
    return parse_text(text.strip("\r\n"), query)


def media_type_of(request: Request) -> str:
    """Return the content type of a body that can be read; raise ``MediaTypeUnsupported``."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise MediaTypeUnsupported(f"the body is encoded as {encoding[:40]!a}: send it plain")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in SNIFFED_MEDIA_TYPES and not _is_json(media_type):
        detail = f"no puzzle is read from {media_type[:80]!a}: send application/json or text/plain"
        raise MediaTypeUnsupported(detail)
    return media_type


def _is_json(media_type: str) -> bool:
    return media_type in JSON_MEDIA_TYPES or media_type.endswith("+json")


async def read_bytes(request: Request, http: HttpConfig) -> bytes:
    """Read the body, and stop reading as soon as it is too large or takes too long."""
    too_large = f"the body is larger than {http.max_body_bytes} bytes"
    declared = request.headers.get("content-length", "")
    # int() refuses numbers of thousands of digits.
    if declared.isdecimal() and (len(declared) >= 20 or int(declared) > http.max_body_bytes):
        raise BodyTooLarge(too_large)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(http.body_timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > http.max_body_bytes:
                    raise BodyTooLarge(too_large)
                chunks.append(chunk)
    except TimeoutError as error:
        raise BodySlow(f"the body took longer than {http.body_timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise BodyInvalid("the connection ended before the body did") from error
    return b"".join(chunks)


def parse_object(body: object, query: SolveQuery) -> PostedPuzzle:
    """Return the puzzle in a JSON value: an object, or the rows of a board alone."""
    if isinstance(body, list):
        body = {"puzzle": query.puzzle or _family_of(body), "grid": body}
    if not isinstance(body, dict):
        raise BodyInvalid("the JSON body must be an object with a field puzzle", field="body")
    named = body.get("puzzle", query.puzzle)
    if named is None:
        issue = Issue("puzzle", f"is missing: one of {', '.join(families())}")
        raise PuzzleInvalid([issue])
    if not isinstance(named, str):
        raise PuzzleInvalid([Issue("puzzle", "must be a string")])
    chosen, size = family_named(named)
    body = {**body, "puzzle": chosen.name}
    in_query = query.fields if query.puzzle is None else {"puzzle": query.puzzle, **query.fields}
    for name, value in in_query.items():
        if body.get(name, value) != value:
            raise ParameterInvalid(f"{name} is not the one that the body names", field=name)
    posted = _posted(chosen, chosen.parse({**query.fields, **body}))
    if size not in (None, posted.task.name):
        raise PuzzleInvalid([Issue("puzzle", f"is {size}, but the puzzle is {posted.task.name}")])
    return posted


def _family_of(rows: list[object]) -> str:
    """Return the name of the family whose board these rows are."""
    boards: dict[str, object] = {}
    refusals: list[tuple[AnyFamily, PuzzleInvalid]] = []
    for name, known in families().items():
        try:
            board = known.parse({"grid": rows})
        except PuzzleInvalid as error:
            refusals.append((known, error))
            continue
        if known.is_recognised(board):
            boards[name] = board
    if not boards:
        cells = [cell for row in rows if isinstance(row, str | list) for cell in row]
        if len(rows) > MAX_PAIR and cells and len(refusals) == len(families()):
            text = "".join(str(cell) for cell in cells if isinstance(cell, str | int))
            raise _likeliest(text, refusals)
        raise BodyInvalid(
            "the JSON body must be an object with a field puzzle, or the rows of a board",
            field="body",
        )
    first, *rivals = boards
    if rivals and _has_givens(family(first), boards[first]):
        raise _ambiguous("grid", first, rivals[0])
    return first


def _ambiguous(field: str, one: str, other: str) -> PuzzleInvalid:
    detail = f"can be read as {one} and as {other}: name one with the parameter puzzle"
    return PuzzleInvalid([Issue(field, detail)])


def family_named(name: str) -> tuple[AnyFamily, str | None]:
    """Return a family by its name, or by that of a task, which is then the second value.

    Capitals, spaces, hyphens and underscores make no other name.
    """
    plain = re.sub("[ _]", "-", name[:MAX_NAME].lower())
    bare = plain.replace("-", "").replace("colour", "color")
    if found := next((known for known in families() if known.replace("-", "") == bare), None):
        return family(found), None
    with suppress(UnknownTask):
        return family(task(plain).family), plain
    return family(name), None


def parse_text(text: str, query: SolveQuery) -> PostedPuzzle:
    """Read plain text as the named family, or as the first family that takes it."""
    if query.puzzle is not None:
        return _read_text(family(query.puzzle), text, query)
    refusals: list[tuple[AnyFamily, PuzzleInvalid]] = []
    candidates = iter(families().values())
    for candidate in candidates:
        try:
            posted = _read_text(candidate, text, query)
        except PuzzleInvalid as error:
            refusals.append((candidate, error))
            continue
        if candidate.is_recognised(posted.instance):
            _check_no_rival(posted, text, candidates)
            return posted
    raise _likeliest(text, refusals)


def _check_no_rival(posted: PostedPuzzle, text: str, others: Iterable[AnyFamily]) -> None:
    """Refuse a text with givens that another family reads too; without any it is the first's."""
    if not _has_givens(posted.family, posted.instance):
        return
    for other in others:
        try:
            rival = other.parse_text(text) if other.likeness(text) == 1.0 else None
        except PuzzleInvalid:
            continue
        if rival is not None and _has_givens(other, rival) and other.is_recognised(rival):
            raise _ambiguous(other.text_field, posted.family.name, other.name)


def _has_givens(family: AnyFamily, instance: object) -> bool:
    return bool((family.encode(instance).tokens >= FIRST_VALUE).any())


def _read_text(chosen: AnyFamily, text: str, query: SolveQuery) -> PostedPuzzle:
    if query.fields:
        return _posted(chosen, chosen.parse({chosen.text_field: text, **query.fields}))
    return _posted(chosen, chosen.parse_text(text))


def _likeliest(text: str, refusals: list[tuple[AnyFamily, PuzzleInvalid]]) -> PuzzleInvalid:
    """Return the refusal of the only family of such signs, else of all, the likeliest first."""
    likeness = {refused.name: refused.likeness(text) for refused, _ in refusals}
    most = max(likeness.values())
    ranked = sorted(refusals, key=lambda refusal: likeness[refusal[0].name] < most)
    is_known = [*likeness.values()].count(most) == 1
    first = ranked[0][1]
    if is_known and any(issue.rule for issue in first.issues):
        # A broken rule means that the form was understood.
        return first
    return PuzzleInvalid(
        [
            replace(issue, detail=f"as {refused.name}: {issue.detail}")
            for refused, error in (ranked[:1] if is_known and most == 1.0 else ranked)
            for issue in error.issues[: None if is_known and error is first else 1]
        ]
    )


def _posted(chosen: AnyFamily, instance: object) -> PostedPuzzle:
    return PostedPuzzle(
        family=chosen,
        instance=instance,
        task=chosen.task_of(instance),
        body=chosen.dump(instance),
    )
