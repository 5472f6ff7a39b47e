"""What an API key may ask for: trajectories per second, counted where all API processes see it."""

from starlette.types import Scope

from gram_server.api.access import key_of
from gram_server.api.context import Context
from gram_server.errors import RateLimited

BURST_S = 10.0
"""A key that rested may ask for the share of this many seconds at once."""


async def charge(context: Context, scope: Scope, width: int) -> None:
    """Take trajectories off the share of the request's key; raise ``RateLimited`` when it is out.

    What is asked for at once may be more than the share: the key then waits for longer.
    """
    key = key_of(scope)
    if key is None or key.trajectories_per_s is None:
        return
    rate = key.trajectories_per_s
    wait_s = await context.store.spend(key.name, width, rate=rate, burst=rate * BURST_S)
    if wait_s > 0:
        raise RateLimited(
            f"key {key.name} may ask for {rate:g} trajectories per second",
            retry_after_s=max(1, round(wait_s + 0.5)),
        )
