"""Compares engine and stores with models of their own under random traffic.

``make stress ARGS="--minutes 10 --seed 1 --output docs/benchmarks/stress.json"``. Prints what was
tried as JSON. Exit status 1 where something differed; the command that shows it again is then on
standard error, with as few steps as are needed.
"""

import argparse
import json
import logging
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.stress import engine_part, engine_plan, store_part, store_plan
from tests.stress.outcome import Outcome
from tests.stress.store_sides import redis_of_our_own

COMMAND = "python -m tests.stress.run"
SEEDS = 1_000_000
"""Rounds of one seed: round N of seed S has the number S * SEEDS + N."""
SHRINK_S = 20.0
TURN_S = 2.0
"""How long a part goes on before the next one has its turn."""


class Part(NamedTuple):
    """One thing that is compared with its model."""

    name: str
    plan: Callable[[int], Any]
    """Returns a round with ``steps``; the same for the same number."""
    play: Callable[..., Outcome]
    """Runs a round, or only some of its steps."""


@dataclass(slots=True)
class Tally:
    """What was tried of a part."""

    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    with opened_parts() as parts:
        wanted = [part for part in parts if options.part in (None, part.name)]
        if options.round is not None:
            return _repeat(wanted[0], options)
        tallies = {part.name: Tally() for part in wanted}
        started_s = time.monotonic()
        problem = run(wanted, tallies, seed=options.seed, seconds=options.minutes * 60)
        sys.stderr.write(problem or "")
    report = _report(options, tallies, time.monotonic() - started_s)
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if options.output is not None:
        options.output.write_text(text)
    return 1 if problem is not None else 0


@contextmanager
def opened_parts() -> Iterator[list[Part]]:
    """Yield all parts; without a redis-server the stores are compared in memory alone."""
    with redis_of_our_own() as redis:
        yield [
            Part("engine", engine_plan.plan, engine_part.play),
            Part("stores", store_plan.plan, partial(store_part.play, redis=redis)),
        ]


def run(
    parts: Sequence[Part], tallies: dict[str, Tally], *, seed: int, seconds: float
) -> str | None:
    """Take turns until the time is over; return what to tell of the first difference."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for part in parts:
            turn_s = min(end_s, time.monotonic() + TURN_S)
            while time.monotonic() < turn_s:
                number = tallies[part.name].rounds
                problem = run_round(part, tallies[part.name], seed=seed, number=number)
                if problem is not None:
                    return problem
    return None


def run_round(part: Part, tally: Tally, *, seed: int, number: int) -> str | None:
    """Run one round; return what to tell where something differed."""
    whole = part.plan(seed * SEEDS + number)
    outcome = part.play(whole)
    tally.rounds += 1
    tally.counts += outcome.counts
    if not outcome.differences:
        return None
    tally.differences += outcome.differences[:10]
    kept, last = shrink(part, whole, outcome)
    keep = "" if len(kept) == len(whole.steps) else f" --keep {','.join(map(str, kept))}"
    again = f"{COMMAND} --part {part.name} --seed {seed} --round {number}{keep}"
    return (
        f"{part.name}: seed {seed}, round {number}: {len(outcome.differences)} differences, with "
        f"{len(kept)} of {len(whole.steps)} steps:\n  {last.differences[0]}\nagain: {again}\n"
    )


def shrink(part: Part, whole: Any, outcome: Outcome) -> tuple[list[int], Outcome]:
    """Leave out steps, many at a time and then one by one, while something still differs."""
    kept, end_s = list(range(len(whole.steps))), time.monotonic() + SHRINK_S
    size = len(kept) // 2
    while size and time.monotonic() < end_s:
        place = 0
        while place < len(kept) and time.monotonic() < end_s:
            fewer = kept[:place] + kept[place + size :]
            if fewer and (tried := part.play(whole, fewer)).differences:
                kept, outcome = fewer, tried
            else:
                place += size
        size //= 2
    return kept, outcome


def _repeat(part: Part, options: argparse.Namespace) -> int:
    """Run one round again, and tell all that differs."""
    whole = part.plan(options.seed * SEEDS + options.round)
    keep = None if options.keep is None else [int(place) for place in options.keep.split(",")]
    for place in range(len(whole.steps)) if keep is None else keep:
        sys.stdout.write(f"{place}: {whole.steps[place]}\n")
    outcome = part.play(whole, keep)
    sys.stdout.write("".join(f"DIFFERS {one}\n" for one in outcome.differences))
    return 1 if outcome.differences else 0


def _report(
    options: argparse.Namespace, tallies: dict[str, Tally], seconds: float
) -> dict[str, object]:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": described.stdout.strip() or "unknown",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "command": f"{COMMAND} --minutes {options.minutes:g} --seed {options.seed}",
        "seed": options.seed,
        "duration_s": round(seconds, 1),
        "parts": {
            name: {
                "rounds": tally.rounds,
                "differences": len(tally.differences),
                "counts": dict(sorted(tally.counts.items())),
            }
            for name, tally in tallies.items()
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="where every round starts from")
    parser.add_argument("--part", choices=["engine", "stores"], help="only this part")
    parser.add_argument("--round", type=int, help="only this round of a part, told in full")
    parser.add_argument("--keep", help="only these steps of the round: 0,3,5")
    parser.add_argument("--output", type=Path, help="also write the report there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
