"""Some rounds of ``make stress``, the same every time: what differs is told with its command."""

from collections.abc import Iterator
from functools import partial

import pytest

from gram_kernels.supervision_step.native import refusal
from tests.stress import store_part, store_plan
from tests.stress.run import Part, Tally, opened_parts, run_round


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, Part]]:
    with opened_parts() as opened:
        yield {part.name: part for part in opened}


def rounds(part: Part, count: int) -> Tally:
    tally = Tally()
    for number in range(count):
        problem = run_round(part, tally, seed=1, number=number)
        assert problem is None, problem
    return tally


@pytest.mark.slow
def test_engines_answer_what_the_plain_loop_answers(parts: dict[str, Part]) -> None:
    counts = rounds(parts["engine"], 6 if refusal() else 24).counts
    # The comparison means something only where all of it occurred.
    assert counts["looks"] > 500
    assert counts["solutions"] > 20
    assert counts["moves"] > 50
    assert counts["cancelled"] > 0


def test_the_store_in_memory_does_what_the_documents_say() -> None:
    part = Part("stores", store_plan.plan, partial(store_part.play, redis=None))
    counts = rounds(part, 60).counts
    assert min(counts[kind] for kind in ("silence", "late", "jump", "drain")) > 4


@pytest.mark.redis
def test_both_stores_do_what_the_documents_say(redis_binary: str, parts: dict[str, Part]) -> None:
    counts = rounds(parts["stores"], 20).counts
    assert min(counts[kind] for kind in ("silence", "wake", "replay", "jump", "drain")) > 4
