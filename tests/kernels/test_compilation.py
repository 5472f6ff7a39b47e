"""Every kernel on every architecture: compiled ahead of time, without a GPU.

A kernel that asks for too much shared memory compiles without an error and fails at its launch, and
one that spills registers runs slowly, so what each takes is read from its machine code.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ARCHS = (80, 86, 89, 90, 100, 120)
MAX_REGISTERS = 255
NUM_KERNELS = 8
# At width 128 the fused step keeps a few numbers of its outer loops, not of its products, in local
# memory.
MAX_STACK_BYTES = {"transition_kernel": 120, "conclusion_kernel": 32}


def compiled(arch: int) -> tuple[dict[str, Any], ...]:
    # Interpreted functions cannot be compiled, so this takes a process of its own.
    environment = {name: text for name, text in os.environ.items() if name != "TRITON_INTERPRET"}
    output = output_of(
        [sys.executable, "-m", "gram_lab", "bench", "compilation", "--arch", str(arch)],
        environment | {"TRITON_DEFAULT_FP_FUSION": "1"},
    )
    return tuple(json.loads(output)["results"])


def output_of(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a command prints; nothing that it started outlives this call."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0
    return output


def test_a_compilation_that_is_given_up_leaves_no_process_behind(tmp_path: Path) -> None:
    script = "import os, subprocess, sys\n" + (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r} + '.new', 'w').write(str(child.pid))\n"
        f"os.rename({str(tmp_path / 'pid')!r} + '.new', {str(tmp_path / 'pid')!r})\n"
        "child.wait()"
    )

    def give_up(signum: int, frame: object) -> None:
        if (tmp_path / "pid").exists():
            raise TimeoutError
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError):
            output_of([sys.executable, "-c", script], os.environ)
    finally:
        signal.signal(signal.SIGALRM, before)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(1000):
        if not is_running(pid):
            return
        time.sleep(0.01)
    pytest.fail("what it started goes on")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("arch", ARCHS)
def test_every_kernel_fits_the_architecture_without_spilling(arch: int) -> None:
    kernels = compiled(arch)
    assert {each["arch"] for each in kernels} == {arch}
    assert len({each["kernel"] for each in kernels}) >= NUM_KERNELS
    too_large = [k for k in kernels if k["shared_bytes"] > k["max_shared_bytes"]]
    spilling = [k for k in kernels if k["stack_bytes"] > MAX_STACK_BYTES.get(k["kernel"], 0)]
    too_wide = [k for k in kernels if not 0 < k["registers"] <= MAX_REGISTERS]
    assert (too_large, spilling, too_wide) == ([], [], [])
