"""The functions in lua/, which Redis runs: one library, named after its content.

A function is atomic: what it checks still holds when it writes. Servers of two versions may share a
Redis: each calls the functions of its own library.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

PARTS = ("base", "finished", "backlog", "life", "claim", "submit", "callers", "workers")
"""In order of dependency."""
BOUNDED = frozenset({"submit", "replay"})
"""Functions that a full Redis refuses; the others free memory, or let others do so."""


_AS_LIBRARY = """
-- While Redis loads a library, it has no pairs().
for index = 1, #names do
  local name = names[index]
  redis.register_function{
    function_name = 'gram_' .. name .. '_' .. VERSION,
    flags = {functions[name].flag},
    callback = function(keys, arguments) return call(name, keys, arguments) end,
  }
end
"""
_AS_SCRIPT = """
return call(table.remove(ARGV, 1), KEYS, ARGV)
"""


@dataclass(frozen=True, slots=True)
class Library:
    """The functions of one version."""

    version: str
    """Part of the names of the library and its functions."""
    text: str
    """Source that Redis loads."""
    script: str
    """All functions as one script: a full Redis loads no library, but must finish its jobs."""

    def function(self, name: str) -> str:
        return f"gram_{name}_{self.version}"


@cache
def library() -> Library:
    folder = files("gram_server.jobs") / "lua"
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in PARTS)
    version = sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
    head = f"#!lua name=gram_queue_{version}\nlocal VERSION = '{version}'\n"
    return Library(
        version=version,
        text=f"{head}{text}{_AS_LIBRARY}",
        script=f"#!lua flags=allow-oom\n{text}{_AS_SCRIPT}",
    )
