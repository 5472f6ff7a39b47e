"""Rules of trajectories that the server follows and the lab measures by. Knows no torch."""

SETTLED_STEPS = 5
"""A trajectory has settled when its answer has stayed the same over so many steps: it nearly always
keeps it then (arXiv 2609.01449)."""

FIRST_DELAY = 8
"""Virtual steps by which trajectory 1 of a staggered job starts after trajectory 0; the delay
doubles whenever the number of trajectories has doubled.

One virtual step is one step of every trajectory that has started; the earliest solution wins. So
an easy job costs little more than one trajectory, a hard one gets more and more starts, and the
answer is the same on a busy engine and on an idle one.
"""


def start_delay(index: int) -> int:
    """Return the virtual steps before a trajectory starts: 0, 8, 16, 16, 32, 32, 32, 32, 64, ..."""
    return FIRST_DELAY << (index.bit_length() - 1) if index else 0
