"""The words of the interface: what may be asked for, by call. Knows no HTTP."""

from typing import Literal, TypedDict

Halt = Literal["verified", "act", "never"]
Fallback = Literal["none", "exact"]
Count = Literal["none", "exact"]
Clues = Literal["none", "unique"] | int
"""``unique`` takes away every clue that can be; a number stops there."""
Stop = Literal["verified", "act"]
"""What stops a trajectory that makes up a board."""
Priority = Literal["high", "normal", "low"]


class SolveOptions(TypedDict, total=False):
    """What ``solve`` takes beside the puzzle; the server's defaults stand for what is left out."""

    width: int
    """Trajectories to sample."""
    depth: int | None
    """Supervision steps a trajectory may take; the model's default where None."""
    max_solutions: int | None
    """Stop at this many distinct solutions; None explores the whole width."""
    deadline_ms: int | None
    """Return what there is after this time."""
    seed: int | None
    """Repeats an earlier call; drawn where None, so that retries repeat their work."""
    augment: bool
    """Let each trajectory look at its own symmetry view of the puzzle."""
    halt: Halt
    """When a trajectory leaves before ``depth``."""
    fallback: Fallback
    """``exact`` answers by exact search where no trajectory did."""
    count: Count
    """``exact`` fills ``completeness.total``."""
    model: str | None
    """Name of the model; the puzzle's own where None."""


class StreamOptions(SolveOptions, total=False):
    """What ``solve_stream`` takes beside the puzzle."""

    decodes: int
    """Trajectories whose answers are shown while they are on their way, up to 64."""


class JobOptions(StreamOptions, total=False):
    """What ``jobs.create`` takes beside the puzzle."""

    priority: Priority
    """Class that the job waits in."""
