"""Whatever a stranger sends is read in a time that its length bounds."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from gram_core.errors import CoreError
from gram_server.errors import ServerError
from gram_server.tracing import TraceContext

NUM_CHARS = 64 << 10
LIMIT_S = 0.010
REPEATS = 5

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SHAPES: Mapping[str, str] = {
    "equals, then a bad byte": "=" * NUM_CHARS + "\x80",
    "members that end badly": "a=b," * (NUM_CHARS // 4) + "\x80",
    "digits": "9" * NUM_CHARS,
    "digits of another script": "٣" * NUM_CHARS,
    "superscripts": "²" * NUM_CHARS,
    "letters": "a" * NUM_CHARS,
    "spaces": " " * NUM_CHARS,
    "a space at each end": " " + "x" * NUM_CHARS + " ",
    "line ends": "\n" * NUM_CHARS,
    "line ends round a word": "\n" * (NUM_CHARS // 2) + "x" + "\n" * (NUM_CHARS // 2),
    "commas": "," * NUM_CHARS,
    "semicolons": ";" * NUM_CHARS,
    "slashes": "/" * NUM_CHARS,
    "colons": ":" * NUM_CHARS,
    "hyphens": "-" * NUM_CHARS,
    "percent signs": "%" * NUM_CHARS,
    "NULs": "\0" * NUM_CHARS,
    "quotes": '"' * NUM_CHARS,
    "backslashes": "\\" * NUM_CHARS,
    "open brackets": "[" * NUM_CHARS,
    "open braces": "{" * NUM_CHARS,
    "fields in fields": '{"a":' * (NUM_CHARS // 5),
    "at signs": "@" * NUM_CHARS,
    "dots": "." * NUM_CHARS,
    "surrogates": "\ud800" * NUM_CHARS,
}

Reader = Callable[[str], object]

READERS: Mapping[str, Reader] = {
    "traceparent": TraceContext.read,
    "traceparent of a version to come": lambda text: TraceContext.read("cc" + PARENT[2:] + text),
    "tracestate": lambda text: TraceContext.read(PARENT, text),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_hostile_text_is_read_at_once(read: Reader, shape: str) -> None:
    assert least_s(lambda: read(shape)) < LIMIT_S


def least_s(call: Callable[[], object]) -> float:
    """Return the least processor time of a few calls, which other processes do not lengthen."""
    took = []
    for _ in range(REPEATS):
        started_s = time.process_time()
        with suppress(ServerError, CoreError):
            call()
        took.append(time.process_time() - started_s)
        if took[-1] < LIMIT_S:
            break
    return min(took)
