"""Threads of the native step: rows get the same bits from any number of them, in teams or alone."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.model import Gram
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels.supervision_step import StepRows
from gram_kernels.supervision_step.native import NativeStep, library, product_kind
from gram_kernels.supervision_step.native import step as native_step_module
from gram_kernels.supervision_step.native.objects import command, own_compiler
from gram_kernels.supervision_step.native.step import Sharing
from tests.kernels.test_supervision_step import (
    NATIVE_TOLERANCES,
    NUM_ROWS,
    VARIANTS,
    copied,
    random_model,
    random_rows,
    rounded_to_bfloat16,
)

MAX_THREADS = 4
ROOT = Path(__file__).parents[2]
SetThreads = Callable[[int], None]


@pytest.fixture
def set_threads() -> Iterator[SetThreads]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def many_rows(model: Gram, task: puzzles.Task, num_rows: int) -> StepRows:
    """Return rows with keys of their own, on givens of a few instances."""
    few = random_rows(model, task, torch.clone)
    copies = torch.arange(num_rows) % NUM_ROWS
    rng = torch.Generator().manual_seed(9)
    shape = (num_rows, *few.high.shape[1:])
    return few._replace(
        high=torch.randn(shape, generator=rng),
        low=torch.randn(shape, generator=rng),
        givens=few.givens[copies].contiguous(),
        keys=torch.randint(0, 2**40, (3, num_rows), generator=rng),
        adjacency=None if few.adjacency is None else few.adjacency[copies].contiguous(),
        facts=few.facts[copies].contiguous(),
        num_live=torch.tensor([num_rows], dtype=torch.int32),
    )


def copied_at(rows: StepRows, chosen: Tensor) -> StepRows:
    return rows._replace(
        high=rows.high[chosen],
        low=rows.low[chosen],
        givens=rows.givens[chosen],
        keys=rows.keys[:, chosen].contiguous(),
        adjacency=None if rows.adjacency is None else rows.adjacency[chosen],
        facts=rows.facts[chosen],
        num_live=torch.tensor([len(chosen)], dtype=torch.int32),
    )


class AlwaysSharing(Sharing):
    """Lets threads share even small trajectories, and where other work has the processors."""

    def is_on(self) -> bool:
        return True


def native_step(name: str, rows: StepRows, unit: str = "vector") -> NativeStep:
    model, task = random_model(name)
    weights = step_weights(rounded_to_bfloat16(model), task.units)
    step = NativeStep(rows, weights, unit_tables(task), may_use_matrix_unit=unit == "matrix")
    step._sharing = AlwaysSharing(0)
    return step


def advance_twice(rows: StepRows, name: str, unit: str) -> StepRows:
    step = native_step(name, rows, unit)
    step(len(rows.high))
    step(len(rows.high))
    return rows


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("unit", NATIVE_TOLERANCES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_trajectory_gets_the_same_bits_in_any_batch_order_and_number_of_threads(
    name: str, unit: str, set_threads: SetThreads
) -> None:
    if unit == "matrix" and product_kind() != "matrix":
        pytest.skip("this processor has no matrix unit")
    start = many_rows(*random_model(name), 11)
    set_threads(1)
    expected = advance_twice(copied(start, torch.clone), name, unit)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    for chosen in (order, order[:1], order[1:3], order[3:6], order[6:]):
        for num_threads in range(1, MAX_THREADS + 1):
            set_threads(num_threads)
            rows = advance_twice(copied_at(start, chosen), name, unit)
            for made, truth in (
                (rows.high, expected.high),
                (rows.low, expected.low),
                (rows.facts, expected.facts),
            ):
                assert torch.equal(made, truth[chosen]), (len(chosen), num_threads)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("num_threads", range(1, MAX_THREADS + 1))
@pytest.mark.parametrize("name", ["sudoku", "edges", "token mixing, norm along the tokens"])
def test_rows_that_are_not_live_or_not_finite_touch_no_other(
    name: str, num_threads: int, set_threads: SetThreads
) -> None:
    sound = many_rows(*random_model(name), 4)
    spoilt = copied(sound, torch.clone)
    spoilt.high[1] = float("nan")
    spoilt.num_live.fill_(3)
    before = copied(spoilt, torch.clone)
    set_threads(num_threads)
    for rows in (sound, spoilt):
        step = native_step(name, rows)
        step(4)
        step(4)
    assert spoilt.facts[:3, 2].tolist() == [1, 0, 1]
    for row in (0, 2):
        assert torch.equal(spoilt.high[row], sound.high[row])
        assert torch.equal(spoilt.facts[row], sound.facts[row])
    assert torch.equal(spoilt.high[3], before.high[3])
    assert torch.equal(spoilt.facts[3], before.facts[3])
    assert torch.equal(spoilt.keys[:, 3], before.keys[:, 3])


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", ["sudoku", "edges", "token mixing, norm along the tokens"])
def test_what_other_teams_left_in_their_memory_changes_nothing(
    name: str, set_threads: SetThreads
) -> None:
    rows = many_rows(*random_model(name), 11)
    rows.high[3:] = float("nan")
    expected = copied(rows, torch.clone)
    for batch, most in ((expected, 1), (rows, MAX_THREADS)):
        step = native_step(name, batch)
        for num_live, num_threads in ((11, 2), (1, 4), (3, 2), (2, 3), (11, 4), (2, 4), (3, 3)):
            set_threads(min(num_threads, most))
            batch.num_live.fill_(num_live)
            step(11)
    assert expected.facts[:3, 2].tolist() == [1, 1, 1]
    for table in ("high", "low", "facts", "keys"):
        made, truth = getattr(rows, table), getattr(expected, table)
        assert torch.equal(made.nan_to_num(7.0), truth.nan_to_num(7.0)), table


def num_used(step: NativeStep, num_live: int, num_threads: int, may_share: bool = True) -> int:
    """Return how many threads a step would use, by the memory that it wants for them."""
    wanted, of_one = (
        int(step._count_bytes(step._model, *plan))
        for plan in ((num_live, num_threads, may_share), (1, 1, False))
    )
    return wanted // of_one


def test_a_lone_trajectory_gets_threads_as_far_as_its_cells_go() -> None:
    name = "odd sizes"
    step = native_step(name, many_rows(*random_model(name), 1))
    # 36 cells, of which no thread should have fewer than about 8.
    assert [num_used(step, 1, threads) for threads in (1, 2, 4, 64)] == [1, 2, 4, 5]
    assert num_used(native_step("one vertex", many_rows(*random_model("one vertex"), 1)), 1, 8) == 1


def test_no_step_uses_more_threads_than_it_may() -> None:
    name = "odd sizes"
    step = native_step(name, many_rows(*random_model(name), 1))
    for num_threads in range(1, 20):
        for num_live in range(1, 40):
            used = num_used(step, num_live, num_threads)
            assert min(num_live, num_threads) // 2 < used <= num_threads
            alone = num_used(step, num_live, num_threads, may_share=False)
            assert min(num_live, num_threads) // 2 < alone <= min(num_live, num_threads)


def test_threads_share_nothing_for_a_time_after_they_had_to_wait() -> None:
    time_s = 100.0
    sharing = Sharing(81, lambda: time_s)
    assert sharing.is_on()

    def pause_s(lost_s: float) -> float:
        nonlocal time_s
        time_s += lost_s
        sharing.note(lost_s)
        start_s = time_s
        while not sharing.is_on():
            time_s += 0.0625
        return time_s - start_s

    assert [pause_s(1 / 64) for _ in range(5)] == [0.125, 0.25, 0.5, 1.0, 1.0]
    sharing.note(0.0)
    assert sharing.is_on()
    # As long after the last time as that took: it was another load.
    time_s += 1.1
    assert pause_s(1 / 64) == 0.125
    # Such as when the process was stopped.
    assert pause_s(100.0) == 5.0
    assert not Sharing(16).is_on()


def run_child(program: str, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """Return what a program that fails wrote, or nothing."""
    ran = subprocess.run(
        [*before, sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return f"{ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-6000:]}" if ran.returncode else ""


WITHOUT_THREADS = """
import resource, threading
from pathlib import Path
import pytest, torch
from tests.kernels import test_native_threads as tests

def leave(spare_bytes):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + spare_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

threading.stack_size(2**23)
model, task = tests.random_model("odd sizes")
rows = tests.many_rows(model, task, 1)
expected = tests.copied(rows, torch.clone)
torch.set_num_threads(1)
truth, step = (tests.native_step("odd sizes", each) for each in (expected, rows))
# Else torch would start threads of its own to fill it with zeros.
step._memory = torch.zeros(2**22, dtype=torch.uint8)
torch.set_num_threads(4)
for spare_stacks in (0, 1, 2):
    leave(2**22 + spare_stacks * 2**23)
    if spare_stacks == 0:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threading.Thread(target=print).start()
    step(1)
    torch.set_num_threads(1)
    truth(1)
    torch.set_num_threads(4)
    assert torch.equal(rows.high, expected.high)
    assert torch.equal(rows.facts, expected.facts)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_threads_that_cannot_be_started_are_not_waited_for() -> None:
    assert run_child(WITHOUT_THREADS) == ""


SHARED_BY_CALLERS = """
import os, threading
import torch
from tests.kernels import test_native_threads as tests

def prepared():
    rows = tests.many_rows(model, task, 3)
    step = tests.native_step("odd sizes", rows)
    # Else each would have torch make it, which a child of a fork should do without.
    step._memory = torch.zeros(2**22, dtype=torch.uint8)
    return rows, step

def ends_right(rows, step):
    for _ in range(8):
        step(3)
    return rows.high.numpy().tobytes() + rows.facts.numpy().tobytes() == expected

def call(rows, step):
    torch.set_num_threads(3)
    is_right.append(ends_right(rows, step))

def go_on(rows, step):
    torch.set_num_threads(2)
    while True:
        step(3)
        has_begun.set()

model, task = tests.random_model("odd sizes")
rows, step = prepared()
torch.set_num_threads(1)
for _ in range(8):
    step(3)
expected = rows.high.numpy().tobytes() + rows.facts.numpy().tobytes()

is_right = []
callers = [threading.Thread(target=call, args=prepared()) for _ in range(4)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
assert is_right == [True] * 4, "callers at once"

torch.set_num_threads(3)
for_child, for_grandchild = prepared(), prepared()
has_begun = threading.Event()
threading.Thread(target=go_on, args=prepared(), daemon=True).start()
has_begun.wait()
for _ in range(20):
    child = os.fork()
    if not child:
        is_right = ends_right(*for_child)
        grandchild = os.fork()
        if not grandchild:
            os._exit(not ends_right(*for_grandchild))
        os._exit(not is_right or os.waitpid(grandchild, 0)[1] != 0)
    assert os.waitpid(child, 0)[1] == 0, "a fork within a step"
# The other thread is still in a step when this process ends.
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks a process with threads")
def test_callers_at_once_forks_within_a_step_and_an_end_within_one() -> None:
    assert run_child(SHARED_BY_CALLERS) == ""


def built(made: Path, *options: str) -> Path:
    """Return a build of the step by this machine's compiler."""
    compiler = own_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    words = command(compiler, "-march=native", *options, "-o", str(made))
    subprocess.run(words, check=True, capture_output=True)
    return made


NEVER_RUN = """
#include <pthread.h>
static int start_never(pthread_t *a, const pthread_attr_t *b, void *(*c)(void *), void *d) {
    return (void)a, (void)b, (void)c, (void)d, 0;
}
#define pthread_create start_never
"""


@pytest.mark.slow
@pytest.mark.usefixtures("native")
def test_a_step_does_not_wait_for_threads_that_never_get_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_threads: SetThreads
) -> None:
    header = tmp_path / "never.h"
    header.write_text(NEVER_RUN, encoding="utf-8")
    made = built(tmp_path / "step.so", "-O1", "-include", str(header))
    loaded = library.load(made, "threads that never run")
    monkeypatch.setattr(native_step_module, "library", lambda: loaded)
    for name in ("sudoku", "edges", "token mixing, norm along the tokens"):
        start = many_rows(*random_model(name), 11)
        set_threads(1)
        expected = advance_twice(copied(start, torch.clone), name, "vector")
        set_threads(3)
        for chosen in (torch.arange(11), torch.arange(1), torch.arange(4)):
            rows = advance_twice(copied_at(start, chosen), name, "vector")
            assert torch.equal(rows.high, expected.high[chosen])
            assert torch.equal(rows.facts, expected.facts[chosen])


UNDER_A_DETECTOR = """
import sys
from pathlib import Path
import torch
from gram_kernels.supervision_step.native import library, step
from tests.kernels import test_native_threads as tests

loaded = library.load(Path(sys.argv[1]), "a build for the detector")
step.library = lambda: loaded
for name in tests.VARIANTS:
    for num_rows in (1, 3):
        rows = tests.many_rows(*tests.random_model(name), num_rows)
        advance = tests.native_step(name, rows)
        for num_threads in (2, 4):
            torch.set_num_threads(num_threads)
            advance(num_rows)
            torch.set_num_threads(1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the detector is preloaded as on Linux")
def test_threads_of_a_team_race_for_nothing(tmp_path: Path) -> None:
    compiler = own_compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    named = [compiler, "-print-file-name=libtsan.so"]
    detector = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
    # The detector wants addresses where it looks for them.
    before = ("setarch", "-R", "env", f"LD_PRELOAD={detector}")
    if not Path(detector).is_absolute() or run_child("", before=before):
        pytest.skip("the compiler's detector of races does not run here")
    made = built(tmp_path / "step.so", "-O1", "-g", "-fsanitize=thread")
    assert run_child(UNDER_A_DETECTOR, str(made), before=before) == ""
