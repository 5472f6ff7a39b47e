"""The options of each call. Knows no HTTP."""

from typing import Literal, TypedDict

Halt = Literal["verified", "halt_head", "never", "act"]
"""``act`` is the word of version 0.1 for ``halt_head``, and goes in 0.3."""
Fallback = Literal["none", "exact"]
Count = Literal["none", "exact"]
Clues = Literal["none", "unique"] | int
"""``unique`` takes away every clue that can be; a number stops there."""
GenerateHalt = Literal["verified", "halt_head", "act"]
Priority = Literal["high", "normal", "low"]


class CommonOptions(TypedDict, total=False):
    """What every request for work takes; the server has defaults for what is left out."""

    timeout_s: float | None
    """Silence after which an attempt is given up; the client's where None."""
    depth: int | None
    """Supervision steps a trajectory may take; the model's default where None."""
    deadline_ms: int | None
    """Return what there is after this time."""
    seed: int | None
    """Repeats an earlier call; drawn where None, so that retries repeat their work."""
    augment: bool
    """Show each trajectory the puzzle through a symmetry of its own: true by default for
    ``solve``, false for ``generate``."""
    model: str | None
    """Name of the model; where None the puzzle's own, or one trained to generate."""


class SolveOptions(CommonOptions, total=False):
    """What ``solve`` takes besides the puzzle."""

    width: int
    """Trajectories to sample; 16 by default."""
    max_solutions: int | None
    """Stop at this many distinct solutions; None explores the whole width."""
    halt: Halt
    """When a trajectory stops before ``depth``: at a ``verified`` answer (the default), at the word
    of its ``halt_head``, or ``never``."""
    fallback: Fallback
    """``exact`` answers by exact search where no trajectory did; ``none`` by default."""
    count_solutions: Count
    """``exact`` fills ``completeness.total``; ``none`` by default."""
    best_attempt: bool
    """Show the nearest answer where none was found: true by default."""
    count: Count
    """The name of version 0.1 for ``count_solutions``; it goes in 0.3."""


class MapOptions(SolveOptions, total=False):
    """What ``map`` takes besides the puzzles; the options of ``solve`` are the same for all."""

    max_concurrency: int
    """Puzzles that are being solved at once; 8 by default."""
    progress: bool
    """Show a bar on standard error."""


class StreamOptions(SolveOptions, total=False):
    """What ``solve_stream`` takes besides the puzzle."""

    show_trajectories: int
    """Trajectories whose answers are shown while they run, up to 64."""
    decodes: int
    """The name of version 0.1 for ``show_trajectories``; it goes in 0.3."""


class JobOptions(StreamOptions, total=False):
    """What ``jobs.create`` takes besides the puzzle."""

    priority: Priority
    """Class that the job waits in: ``normal`` by default."""
    idempotency_key: str | None
    """Stands for this one job for a day; drawn where None, so that the call may be repeated after a
    lost answer."""


class GenerateOptions(CommonOptions, total=False):
    """What ``generate`` takes besides the name of the family."""

    count: int
    """Boards to return; 1 by default."""
    size: int | None
    """Side of the boards; the largest that a loaded model makes where None."""
    distinct: bool
    """Return no board twice: true by default."""
    reduce_clues: Clues
    """``unique``, or a number of clues to stop at, reduces each board to a puzzle whose only
    solution it is; ``none`` by default."""
    clues: Clues
    """The name of version 0.1 for ``reduce_clues``; it goes in 0.3."""
    max_trajectories: int | None
    """Trajectories to sample at most."""
    halt: GenerateHalt
    """When a trajectory stops before ``depth``: as in ``SolveOptions``."""
