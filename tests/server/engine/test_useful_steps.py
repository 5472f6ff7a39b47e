"""What a job costs may depend on its neighbours; what it needed does not."""

from typing import Any

import numpy as np
import pytest

from tests.server.engine.harness import Scripted, make_harness


@pytest.mark.parametrize("num_parking", [0, 64])
def test_steps_less_wasted_ones_are_the_same_beside_any_traffic(num_parking: int) -> None:
    rng = np.random.default_rng(5)
    table = rng.integers(1, 14, size=(9, 32))

    def script(seed: int, trajectory: int) -> Any:
        step = int(table[seed, trajectory])
        return Scripted(answer=2 if step < 10 else None, step=step)

    def needed(end: Any) -> int:
        return int(end.supervision_steps - end.wasted_steps)

    alone = make_harness(script, num_slots=64)
    alone.submit("0", width=32, seed=0)
    alone.run()
    assert alone.finished["0"].wasted_steps == 0
    crowd = make_harness(script, num_slots=64, num_parking=num_parking)
    for seed in range(9):
        crowd.submit(str(seed), width=32, seed=seed)
        crowd.tick(int(rng.integers(0, 3)))
    crowd.run()
    assert needed(crowd.finished["0"]) == needed(alone.finished["0"])
    # Without a spare row a trajectory that gives up its slot starts over: its job pays twice.
    wasted = sum(end.wasted_steps for end in crowd.finished.values())
    assert (wasted > 0) == (num_parking == 0)
