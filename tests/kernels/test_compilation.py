"""Every kernel on every architecture: compiled ahead of time, without a GPU.

A kernel that asks for too much shared memory compiles without an error and fails at its launch, and
one that spills registers runs slowly, so what each takes is read from its machine code.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ARCHS = (80, 86, 89, 90, 100, 120)
MAX_REGISTERS = 255
NUM_KERNELS = 12
# At width 128 the fused step keeps a few numbers of its outer loops, not of its products, in local
# memory; swiglu two of one shape on sm_80.
MAX_STACK_BYTES = {"transition_kernel": 64, "conclusion_kernel": 24, "swiglu_kernel": 8}


@cache
def compiled() -> tuple[dict[str, Any], ...]:
    # Interpreted functions cannot be compiled, so this takes a process of its own.
    environment = {name: text for name, text in os.environ.items() if name != "TRITON_INTERPRET"}
    lines = subprocess.run(
        [sys.executable, ROOT / "kernels/bench/compilation.py"],
        check=True,
        stdout=subprocess.PIPE,
        env=environment | {"TRITON_DEFAULT_FP_FUSION": "1"},
        text=True,
    ).stdout.splitlines()
    return tuple(json.loads(line) for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("arch", ARCHS)
def test_every_kernel_fits_the_architecture_without_spilling(arch: int) -> None:
    kernels = [each for each in compiled() if each["arch"] == arch]
    assert len({each["kernel"] for each in kernels}) >= NUM_KERNELS
    too_large = [k for k in kernels if k["shared_bytes"] > k["max_shared_bytes"]]
    spilling = [k for k in kernels if k["stack_bytes"] > MAX_STACK_BYTES.get(k["kernel"], 0)]
    too_wide = [k for k in kernels if not 0 < k["registers"] <= MAX_REGISTERS]
    assert (too_large, spilling, too_wide) == ([], [], [])
