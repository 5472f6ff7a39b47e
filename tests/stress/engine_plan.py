"""What happens in a round of traffic through engines, planned before any of it does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gram_kernels.supervision_step.native import refusal
from tests.stress import engine_model as plain
from tests.stress.engine_model import Backend, Wanted

WEIGHTS = (3, 1, 8, 5, 8)
"""How often each model takes part: the more rarely, the more a step of it costs."""
MAX_WIDTHS = {"nqueens-8": 8, "sudoku-4x4": 24}
"""Of models whose steps cost more than others'; on torch's ops all are narrow."""
SEEDS_KEPT = 4
"""Seeds in use at a time: what the plain loop says of them is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One model's engine."""

    model: str
    backend: Backend
    num_slots: int
    num_parking: int
    pipeline_depth: int
    rows_are_free: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A job comes in."""

    tick: int
    wanted: Wanted
    deadline: int | None
    """Ticks from its arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """A job is given up, if it is there."""

    tick: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Everything that will happen."""

    sites: tuple[Site, ...]
    tick_s: float
    ageing_s: float
    steps: tuple[Arrival | Abort, ...]


def plan(seed: int) -> Round:
    """Return a round; the same for the same seed."""
    chance = random.Random(seed)
    # A long job that others come and go beside, or a few jobs of any kind.
    is_crowd = chance.random() < 0.5
    names = set(chance.choices(plain.MODELS, WEIGHTS, k=chance.choice([1, 1, 1, 2])))
    sites = tuple(_site(name, chance, is_crowd=is_crowd) for name in sorted(names))
    seeds = [seed // 40 * SEEDS_KEPT + number for number in range(SEEDS_KEPT)]
    if is_crowd:
        kinds = ["long", *["short"] * chance.randrange(4, 16)]
    else:
        kinds = ["any"] * chance.randrange(2, 9)
    jobs = [
        _wanted(f"j{number}", kind, chance.choice(sites), chance.choice(seeds), chance)
        for number, kind in enumerate(kinds)
    ]
    return Round(
        sites=sites,
        tick_s=chance.choice([0.05, 0.3, 1.0]),
        ageing_s=chance.choice([2.0, 10.0, 1e9]),
        steps=tuple(_steps(jobs, sites, chance)),
    )


def _site(name: str, chance: random.Random, *, is_crowd: bool) -> Site:
    # torch's ops take several times as long where the weights are those of a shipped model.
    is_small = name.startswith("guess") or name == "graph-coloring-8"
    is_torch = bool(refusal()) or chance.random() < (0.1 if is_small else 0.01)
    return Site(
        model=name,
        backend="torch" if is_torch else "native",
        num_slots=chance.choice([3, 3, 4] if is_crowd else [2, 3, 6, 16]),
        num_parking=chance.choice([2, 4, 16] if is_crowd else [0, 1, 2, 4, 16]),
        pipeline_depth=chance.randrange(2),
        rows_are_free=chance.random() < (0.1 if is_crowd else 0.5),
    )


def _wanted(name: str, kind: str, site: Site, seed: int, chance: random.Random) -> Wanted:
    widest = 16 if site.backend == "torch" else MAX_WIDTHS.get(site.model, 64)
    wanted = Wanted(
        name=name,
        model=site.model,
        instance=chance.randrange(plain.NUM_INSTANCES),
        seed=seed,
        width=min(widest, chance.choice([1, 1, 2, 3, 8, 12, 24, 64])),
        depth=chance.choice([1, 3, 8, 24, plain.DEPTH]),
        max_solutions=chance.choice([None, 1, 1, 2, 5]),
        halt=chance.choice(["verified", "verified", "act", "settled", "never"]),
        augment=chance.random() < 0.7,
        priority=chance.randrange(3),
        num_shown=chance.choice([0, 4, 64]),
    )
    if kind == "short":
        return replace(wanted, width=chance.randrange(1, 4), depth=chance.randrange(1, 9))
    if kind == "long":
        return replace(
            wanted,
            instance=plain.NUM_INSTANCES - 1,
            width=min(widest, chance.choice([8, 8, 12])),
            depth=plain.DEPTH,
            max_solutions=chance.choice([None, 1, 1, 1, 1, 2]),
            priority=chance.choice([1, 2, 2]),
            num_shown=chance.choice([0, 64, 64, 64]),
        )
    if chance.random() < 0.25:
        distinct, most = chance.random() < 0.5, chance.choice([1, 3, 10])
        return replace(wanted, order="trajectory", distinct=distinct, max_solutions=most)
    if chance.random() < 0.4:
        # Many starts after each other, and the first solutions are enough.
        width, depth = min(widest, chance.choice([8, 24])), chance.choice([24, plain.DEPTH])
        return replace(wanted, width=width, depth=depth, max_solutions=chance.choice([1, 2, 3]))
    return wanted


def _steps(
    jobs: Sequence[Wanted], sites: Sequence[Site], chance: random.Random
) -> list[Arrival | Abort]:
    """Return when jobs come, and are given up, in the time that all may take."""
    num_slots = min(site.num_slots for site in sites)
    num_ticks = min(300, 10 + sum(job.width * job.depth for job in jobs) // num_slots)
    steps: list[Arrival | Abort] = []
    for number, wanted in enumerate(jobs):
        tick = chance.randrange(num_ticks) if number else 0
        deadline = chance.randrange(1, 60) if chance.random() < 0.1 else None
        steps.append(Arrival(tick=tick, wanted=wanted, deadline=deadline))
        if chance.random() < 0.1:
            steps.append(Abort(tick=tick + chance.randrange(60), name=wanted.name))
    return steps
