"""The options of each call. Knows no HTTP."""

from collections.abc import Mapping
from typing import Literal, TypedDict

Halt = Literal["verified", "halt_head", "settled", "never"]
Fallback = Literal["none", "exact"]
Count = Literal["none", "exact"]
Clues = Literal["none", "unique"] | int
"""``unique`` removes all clues it can; a number stops there."""
GenerateHalt = Literal["verified", "halt_head", "settled"]
Priority = Literal["high", "normal", "low"]


class CallOptions(TypedDict, total=False):
    """Options of every call."""

    timeout_s: float | None
    """Silence after which an attempt is given up; the client's where None."""
    extra_headers: Mapping[str, str] | None
    """Headers of this call alone; they win over all others."""


class ClientOptions(TypedDict, total=False):
    """Options of a client, which ``with_options`` changes."""

    timeout_s: float
    """Silence after which an attempt is given up; a connection has 5 s at most."""
    max_retries: int
    """Attempts after the first, for failures that may be temporary."""
    default_headers: Mapping[str, str] | None
    """Headers of every call; ``with_options`` adds to those that the client has."""


class CommonOptions(CallOptions, total=False):
    """Options of every request for work; the server has defaults for what is left out."""

    depth: int | None
    """Supervision steps a trajectory may take; the model's default where None."""
    deadline_ms: int | None
    """Return the result so far after this time."""
    seed: int | None
    """Repeats an earlier call; drawn where None, so that retries repeat their work."""
    augment: bool
    """Give each trajectory its own symmetry view: true by default for ``solve``, false for
    ``generate``."""
    model: str | None
    """Name of the model; where None the puzzle's own, or one trained to generate."""


class SolveOptions(CommonOptions, total=False):
    """Options of ``solve`` besides the puzzle."""

    colors: int | None
    """Colors of a graph that is text, or a body without them; 3 by default."""
    width: int
    """Trajectories to sample; 16 by default."""
    max_solutions: int | None
    """Stop at this many distinct solutions; None explores the whole width."""
    halt: Halt
    """When a trajectory stops before ``depth``: at a ``verified`` answer (the default), when its
    ``halt_head`` says so, when its answer has ``settled``, or ``never``: then it goes on after a
    solution and may find others."""
    fallback: Fallback
    """``exact`` answers by exact search where no trajectory did; ``none`` by default."""
    count_solutions: Count
    """``exact`` fills ``completeness.total``; ``none`` by default."""
    best_attempt: bool
    """Show the nearest answer where none was found: true by default."""


class MapOptions(SolveOptions, total=False):
    """Options of ``map``; those of ``solve`` apply to all puzzles."""

    max_concurrency: int
    """Puzzles that are being solved at once; 8 by default."""
    progress: bool
    """Show a bar on standard error."""
    patience_s: float
    """How long to go on asking a server that is too busy; 600 by default."""


class StreamOptions(SolveOptions, total=False):
    """Options of ``solve_stream`` besides the puzzle."""

    show_trajectories: int
    """Trajectories whose answers are shown while they run, up to 64."""


class JobOptions(StreamOptions, total=False):
    """Options of ``jobs.create`` besides the puzzle."""

    priority: Priority
    """Priority class of the job: ``normal`` by default."""
    idempotency_key: str | None
    """Identifies this job for a day; random where None, so that the call may be retried after a
    lost response."""


class GenerateOptions(CommonOptions, total=False):
    """Options of ``generate`` besides the name of the family."""

    count: int
    """Boards to return; 1 by default."""
    size: int | None
    """Side of the boards; where None the largest of a loaded model."""
    distinct: bool
    """Return no board twice: true by default."""
    reduce_clues: Clues
    """``unique``, or a number of clues to stop at, reduces each board to a puzzle whose only
    solution it is; ``none`` by default."""
    max_trajectories: int | None
    """Trajectories to sample at most."""
    halt: GenerateHalt
    """When a trajectory stops before ``depth``: as in ``SolveOptions``."""
