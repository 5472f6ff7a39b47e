"""The functions in lua/, which Redis runs: one library, named after its content. Names of its keys.

A function is atomic: what it checks still holds when it writes. Servers of two versions may share a
Redis: each calls the functions of its own library.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

from gram_server.job import PRIORITY_CLASSES

FORM = 1
"""Version of the stored format: processes of another version do not see these keys."""
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
class Keys:
    """The keys of one queue that Python uses itself; the functions build the same names.

    All hold one hash tag, so that a cluster keeps them together, and the version of the format.
    """

    queue_name: str

    @property
    def prefix(self) -> str:
        return f"{{{self.queue_name}}}:{FORM}:"

    @property
    def notices(self) -> str:
        """Stream of notices, each with the id of a job that changed."""
        return f"{self.prefix}notes"

    @property
    def dead(self) -> str:
        return f"{self.prefix}dead"

    @property
    def streams(self) -> tuple[str, ...]:
        """The job streams, in the order in which they are served."""
        return tuple(
            f"{self.prefix}{name}:{number}"
            for number in range(len(PRIORITY_CLASSES))
            for name in ("last", "back", "queue")
        )

    def cancelled(self, worker: str) -> str:
        """Stream of the jobs of a worker that were cancelled."""
        return f"{self.prefix}cancelled:{worker}"


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
