"""Server-sent events as the HTML standard reads them, in the plainest way.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"


class Read(NamedTuple):
    """An event, with the number of bytes after which it is complete."""

    last_id: str
    """Of this event, or of the last one that had one."""
    has_id: bool
    kind: str
    data: str
    end: int


def read_all(stream: bytes) -> list[Read]:
    """Return every event of a whole stream; what is not closed by a blank line is none."""
    events: list[Read] = []
    last_id, has_id, kind, data = "", False, "", list[str]()
    start = len(BOM) if stream.startswith(BOM) else 0
    for end in re.finditer(rb"\r\n|\n|\r", stream):
        if end.start() < start:
            continue
        line, start = stream[start : end.start()].decode(errors="replace"), end.end()
        if not line:
            if data:
                # A bare CR may be the first half of a CRLF: either way the line is over.
                done = end.start() + 1
                events.append(Read(last_id, has_id, kind or "message", "\n".join(data), done))
            has_id, kind, data = False, "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id, has_id = value, True
    return events
