"""The Lua scripts in lua/, each with what they share put before it.

A script is one step for Redis: whatever it checks still holds when it writes.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

BOUNDED = frozenset({"submit", "replay", "probe"})
"""Scripts that a full memory stops. The others free more than they take, or let others do so."""
SHARED = ("base", "keeping", "shared")
"""Put before every script, in this order."""
ALSO_SHARED = {"submit": ("accept",), "replay": ("accept",)}
"""What else some are given."""


@dataclass(frozen=True, slots=True)
class Script:
    """One script and the digest that Redis knows it by."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Return a script by the name of its file."""
    folder = files("gram_server.jobs") / "lua"
    names = (*SHARED, *ALSO_SHARED.get(name, ()), name)
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in names)
    flags = "" if name in BOUNDED else "#!lua flags=allow-oom\n"
    whole = f"{flags}{text}"
    return Script(whole, sha1(whole.encode(), usedforsecurity=False).hexdigest())
