"""Readers for untrusted bodies: the only error they raise is ``PuzzleInvalid``.

Knows JSON values, boards that people draw in text, and issues; knows no puzzle. ``gram_files`` of
the client, which imports nothing of ours, parts the boards of a file by the same rules.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import NoReturn, TypeGuard

from gram_core.errors import Issue, PuzzleInvalid

MAX_ISSUES = 32
"""Issues reported at once; bounds the response to a hostile body."""

TEXT: Mapping[str, object] = {"type": "string"}
INTEGER: Mapping[str, object] = {"type": "integer"}
NULL: Mapping[str, object] = {"type": "null"}

_MAX_SHOWN_INTEGER = 10**12
_FRAMES = str.maketrans(
    dict.fromkeys(map(chr, range(0x2500, 0x2580)), " ")
    | dict.fromkeys("'\"`", " ")
    | dict.fromkeys("¦│┃║", "|")
    | dict.fromkeys("♕♛", "Q")
)
"""Characters of drawn boxes, quotes and queens; verticals part cells."""
_STROKES = re.compile(r"[-=]{3}")
_CROSSES = frozenset("-+=:")
_RULING = _CROSSES | frozenset("|*., \t")
_BLANKS = frozenset(".0*_")
_ODD_BLANKS = frozenset("xX?-·•□◦○~")
"""Signs of an empty cell in other programs."""


def check_fields(body: object, *, puzzle: str, allowed: Collection[str]) -> Mapping[str, object]:
    """Return the body as a mapping of allowed fields, or refuse it."""
    if not isinstance(body, Mapping):
        refuse("body", f"must be a JSON object, not {describe(body)}")
    if "puzzle" in body and body["puzzle"] != puzzle:
        refuse("puzzle", f'must be "{puzzle}", not {describe(body["puzzle"])}')
    known = {"puzzle", *allowed}
    detail = f"is not a field of {puzzle}: {', '.join(sorted(known))}"
    raise_issues(Issue(printable(key) or '""', detail) for key in body if key not in known)
    return body


def list_of(items: Mapping[str, object], **bounds: int) -> Mapping[str, object]:
    """Return the JSON Schema of a list."""
    return {"items": items, "type": "array", **bounds}


def object_schema(
    puzzle: str,
    title: str,
    description: str,
    properties: Mapping[str, Mapping[str, object]],
    *,
    required: Sequence[str] = (),
    example: Mapping[str, object],
) -> dict[str, object]:
    """Return the JSON Schema of a body: ``puzzle``, the family's fields, and no others."""
    name = {"const": puzzle, "default": puzzle, "title": "Puzzle", "type": "string"}
    titled = {field: {"title": field.capitalize(), **each} for field, each in properties.items()}
    schema: dict[str, object] = {
        "title": title,
        "description": description,
        "type": "object",
        "properties": {"puzzle": name, **titled},
        "additionalProperties": False,
        "examples": [{"puzzle": puzzle, **example}],
    }
    return {**schema, "required": list(required)} if required else schema


def read_integer(value: object, field: str, *, low: int, high: int) -> int:
    """Return an integer within the bounds, both included, or refuse it."""
    if not is_integer(value):
        refuse(field, f"must be an integer, not {describe(value)}")
    if not low <= value <= high:
        refuse(field, f"must be between {low} and {high}, not {describe(value)}")
    return value


def read_list(value: object, field: str, *, max_items: int) -> Sequence[object]:
    """Return a list of bounded length, or refuse it."""
    if not isinstance(value, list | tuple):
        refuse(field, f"must be a list, not {describe(value)}")
    if len(value) > max_items:
        refuse(field, f"has {len(value)} entries; at most {max_items} are possible")
    return value


def read_pairs(values: Sequence[object], field: str, *, below: int) -> list[tuple[int, int]]:
    """Return pairs of integers from 0 to below - 1, or refuse them."""
    return [
        (value[0], value[1])
        if _is_pair(value, below)
        else read_pair(value, f"{field}[{index}]", below=below)
        for index, value in enumerate(values)
    ]


def _is_pair(value: object, below: int) -> TypeGuard[list[int]]:
    # A large graph has tens of thousands of pairs: only refused ones get a field name.
    return (
        type(value) is list
        and len(value) == 2
        and type(value[0]) is type(value[1]) is int
        and 0 <= value[0] < below
        and 0 <= value[1] < below
    )


def read_pair(value: object, field: str, *, below: int) -> tuple[int, int]:
    """Return two integers from 0 to below - 1, or refuse them."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        refuse(field, f"must be a list of two integers, not {describe(value)}")
    first = read_integer(value[0], f"{field}[0]", low=0, high=below - 1)
    second = read_integer(value[1], f"{field}[1]", low=0, high=below - 1)
    return first, second


def read_text(value: object, field: str, *, max_length: int) -> str:
    """Return a string of bounded length, or refuse it."""
    if not isinstance(value, str):
        refuse(field, f"must be a string, not {describe(value)}")
    if len(value) > max_length:
        refuse(field, f"has {len(value)} characters; at most {max_length} are read")
    return value


def drawn_rows(text: str) -> list[str]:
    """Return the cells of each line that has some.

    Lines of dashes divide a board, unless dashes are cells in other lines of it.
    """
    # Empty lines must be cheap: a text may have thousands of them.
    lines = [line for line in text.translate(_FRAMES).splitlines() if line and not line.isspace()]
    cells = [_cells_of(line) for line in lines]
    dashed = next((row for row in cells if "-" in row and not set(row) <= _CROSSES), "")
    drawn = [
        (line, row)
        for line, row in zip(lines, cells, strict=True)
        if row
        and (
            row == "-" * len(dashed)
            or not (set(row) <= _CROSSES or (_STROKES.search(line) and set(line) <= _RULING))
        )
    ]
    # A separator may end each line, with no cell behind it.
    ends = [line.strip(" ")[-1] for line, _ in drawn]
    has_ends = all(
        end in ",;\t" and line.count(end) == len(drawn) == len(row) - 1
        for end, (line, row) in zip(ends, drawn, strict=True)
    )
    return [row[: len(drawn)] if has_ends else row for _, row in drawn]


def check_lengths(
    rows: Iterable[Sequence[object]], length: int, told: str, *, field: str = "grid"
) -> None:
    """Refuse rows of another length; ``told`` says what they have, and how many are wanted."""
    raise_issues(
        Issue(f"{field}[{number}]", f"has {len(row)} {told}")
        for number, row in enumerate(rows)
        if len(row) != length
    )


def refuse_signs(
    signs: Sequence[object],
    wrong: Iterable[int],
    columns: int,
    told: str,
    *,
    is_by_row: bool = False,
) -> None:
    """Refuse the wrong positions of a board, if any; ``told`` says what a cell may hold."""
    raise_issues(
        Issue(
            f"grid[{at // columns}]" if is_by_row else "grid",
            f"row {at // columns}, column {at % columns} holds {describe(signs[at])}; {told}",
            (divmod(at, columns),),
        )
        for at in wrong
    )


def in_lines(signs: str, columns: int, *, is_text: bool) -> str | list[str]:
    """Return a board as the lines of one string, or as a list of them."""
    lines = [signs[at : at + columns] for at in range(0, len(signs), columns)]
    return "\n".join(lines) if is_text else lines


def with_dots(cells: str) -> str:
    """Return cells with ``.`` for their blank, where it is another program's and the only one."""
    blanks = set(cells) & (_BLANKS | _ODD_BLANKS)
    is_odd = len(blanks) == 1 and blanks <= _ODD_BLANKS and blanks != set(cells)
    return cells.replace(blanks.pop(), ".") if is_odd else cells


def _cells_of(line: str) -> str:
    """Return the cells of a line; an empty field between separators is a blank cell."""
    bare = line.strip(" ")
    for separator in "|,;\t":
        fields = bare.removeprefix("|").removesuffix("|").split(separator)
        marks = [field.strip() for field in fields]
        if len(marks) > 3 and all(len(mark) <= 1 for mark in marks):
            return "".join(mark or "." for mark in marks)
    return "".join(re.split(r"[\s|,;]+", bare))


def check_blanks(cells: Iterable[object], blanks: str) -> None:
    """Refuse a board that uses two signs for a blank: one of them may mean something else."""
    used = sorted(set(blanks).intersection(cells))
    if len(used) > 1:
        one, other = describe(used[0]), describe(used[1])
        detail = (
            f"holds {one} and {other}: if both are blanks, write one of them; if one is a queen or "
            "a digit, write Q or the digit for it"
        )
        refuse("grid", detail)


def is_integer(value: object) -> TypeGuard[int]:
    """Say whether a JSON value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def refuse(
    field: str, detail: str, *, cells: Sequence[tuple[int, ...]] = (), rule: str | None = None
) -> NoReturn:
    """Raise ``PuzzleInvalid`` with a single issue."""
    raise PuzzleInvalid([Issue(field, detail, tuple(cells), rule)])


def raise_issues(issues: Iterable[Issue]) -> None:
    """Raise ``PuzzleInvalid`` when there are issues, with the first ``MAX_ISSUES`` of them.

    The iterator is not consumed further, so a lazy search stops there.
    """
    if found := list(islice(issues, MAX_ISSUES)):
        raise PuzzleInvalid(found)


def describe(value: object) -> str:
    """Return a short description of any JSON value, safe to show and to encode."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Python refuses to print integers of thousands of digits.
        return str(value) if abs(value) <= _MAX_SHOWN_INTEGER else "a huge integer"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f'the string "{printable(value)}"'
    # Contents are not shown: they may be nested deeper than repr can follow.
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else f"a value of type {type(value).__name__}"


def printable(value: object) -> str:
    """Return the first 40 characters of a string, escaped to ASCII."""
    if not isinstance(value, str):
        return describe(value)
    start = value[:40].encode("ascii", "backslashreplace").decode("ascii")
    return start + ("..." if len(value) > 40 else "")
