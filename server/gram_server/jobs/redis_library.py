"""The functions in lua/, which Redis runs: one library, named after its content.

A function is one step for Redis: whatever it checks still holds when it writes. Servers of two
versions may share a Redis: each calls the functions of its own library.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

PARTS = ("base", "finished", "backlog", "life", "claim", "submit", "callers", "workers")
"""In the order in which they build on each other."""
BOUNDED = frozenset({"submit", "replay"})
"""Functions that a full Redis refuses. The others free more than they take, or let others do so."""


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
    """Stands in the name of the library and of its functions."""
    text: str
    """What Redis is to load."""
    script: str
    """One script for all: a full Redis loads no library, and must be let finish what it has."""

    def function(self, name: str) -> str:
        """Return the name by which Redis knows a function."""
        return f"gram_{name}_{self.version}"


@cache
def library() -> Library:
    """Return the library of this version."""
    folder = files("gram_server.jobs") / "lua"
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in PARTS)
    version = sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
    head = f"#!lua name=gram_queue_{version}\nlocal VERSION = '{version}'\n"
    return Library(
        version=version,
        text=f"{head}{text}{_AS_LIBRARY}",
        script=f"#!lua flags=allow-oom\n{text}{_AS_SCRIPT}",
    )
