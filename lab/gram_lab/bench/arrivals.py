"""When requests arrive: gamma-distributed gaps, of which Poisson arrivals are one kind.

The moments are drawn before the load starts and wait for no answer: a slow server does not slow
the load down. Knows no requests.
"""

import math

import numpy as np


def arrival_moments(
    *, rate: float, duration_s: float, burstiness: float = 1.0, ramp_s: float = 0.0, seed: int = 0
) -> list[float]:
    """Return the moments at which requests arrive, in seconds since the start.

    Args:
        rate: requests per second at the end of the ramp, on average.
        duration_s: of the whole load.
        burstiness: squared coefficient of variation of the gaps: 1 is Poisson, 4 comes in bursts,
            0 is even.
        ramp_s: seconds over which the rate rises from zero.
        seed: of the gaps.
    """
    rng = np.random.default_rng(seed)
    num_in_ramp = rate * ramp_s / 2
    moments: list[float] = []
    num_expected = 0.0
    while True:
        # Gaps in expected arrivals, mapped to time by the ramp.
        num_expected += rng.gamma(1.0 / burstiness, burstiness) if burstiness else 1.0
        if num_expected < num_in_ramp:
            moment_s = math.sqrt(2 * ramp_s * num_expected / rate)
        else:
            moment_s = ramp_s + (num_expected - num_in_ramp) / rate
        if moment_s >= duration_s:
            return moments
        moments.append(moment_s)
