"""Text and JSON in the bytes of a body: the only error is ``BodyInvalid``; knows no puzzles."""

import json
from typing import NoReturn

from gram_server.errors import BodyInvalid


def decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 text: byte {error.start} cannot be read"
        raise BodyInvalid(detail, field="body") from error


def load_json(text: str) -> object:
    """Parse JSON; refuses NaN, infinities and duplicate fields."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise BodyInvalid("the JSON body is nested too deeply", field="body") from error
    except ValueError as error:
        reason = str(error).encode("ascii", "backslashreplace").decode()
        raise BodyInvalid(f"the body is not JSON: {reason[:200]}", field="body") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object names a field twice")
    return fields
