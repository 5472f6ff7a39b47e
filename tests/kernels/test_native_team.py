"""The team of the native step: threads that are missing, late or raced for, callers, and forks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gram_kernels.supervision_step.native import library
from gram_kernels.supervision_step.native import step as native_step_module
from gram_kernels.supervision_step.native.objects import command, own_compiler
from tests.kernels.conftest import SetThreads, chosen_rows, copied
from tests.kernels.test_native_threads import advance_twice, many_rows
from tests.kernels.test_supervision_step import random_model

ROOT = Path(__file__).parents[2]


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
            rows = advance_twice(chosen_rows(start, chosen), name, "vector")
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
