"""The Lua scripts in lua/, each with what they share put before it.

A script is one step for Redis: whatever it checks still holds when it writes.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

BOUNDED = frozenset({"submit"})
"""Scripts that a full memory stops. The others free more than they take, or let others do so."""


@dataclass(frozen=True, slots=True)
class Script:
    """One script and the digest that Redis knows it by."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Return a script by the name of its file."""
    folder = files("gram_server.jobs") / "lua"
    shared = (folder / "shared.lua").read_text("utf-8")
    text = (folder / f"{name}.lua").read_text("utf-8")
    flags = "" if name in BOUNDED else "#!lua flags=allow-oom\n"
    whole = f"{flags}{shared}\n{text}"
    return Script(whole, sha1(whole.encode(), usedforsecurity=False).hexdigest())
