"""The order in which the steps of a job's trajectories count, independent of the clock.

Solutions are ranked by virtual time, so order of arrival never decides an answer: a job gives the
same solutions however its trajectories were scheduled.
"""

from bisect import bisect_right
from typing import NamedTuple

from gram_server.engine.trajectory import EngineJob, Trajectory

FIRST_DELAY = 8
"""Virtual steps by which trajectory 1 of a staggered job starts after trajectory 0; the delay
doubles whenever the number of trajectories has doubled.

One virtual step is one step of every trajectory that has started; the earliest solution wins. So
an easy job costs little more than one trajectory, a hard one gets more and more starts, and the
answer is the same on a busy engine and on an idle one.
"""


class VirtualTime(NamedTuple):
    """A moment in the order in which a job's steps count."""

    virtual_step: int
    """The trajectory's index where the order is by trajectory."""
    step: int


def virtual_time(job: EngineJob, index: int, step: int) -> VirtualTime:
    """Return the virtual time of a trajectory's step, from 1."""
    if job.order == "trajectory":
        return VirtualTime(index, step)
    return VirtualTime(start_delay(index) + step if job.is_staggered else step, step)


def start_delay(index: int) -> int:
    """Return the virtual steps before a trajectory starts: 0, 8, 16, 16, 32, 32, 32, 32, 64, ..."""
    return FIRST_DELAY << (index.bit_length() - 1) if index else 0


def next_time(trajectory: Trajectory) -> VirtualTime:
    return virtual_time(trajectory.job, trajectory.index, trajectory.steps + 1)


def round_of(job: EngineJob, time: VirtualTime) -> int:
    """Return the round of a virtual time; rounds end with virtual step 8, 16, 32, 64, ...

    New trajectories start where a round ends. A job with too few slots for all that have started
    runs them through one round after the other, so that none gets far ahead.
    """
    return ((time.virtual_step - 1) // FIRST_DELAY).bit_length() if job.is_staggered else 0


def num_started_by(job: EngineJob, time: VirtualTime) -> int:
    return bisect_right(range(job.width), time, key=lambda index: virtual_time(job, index, 1))
