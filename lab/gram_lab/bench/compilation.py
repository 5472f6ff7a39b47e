"""``gram-lab bench compilation``: what every kernel takes on every architecture, without a GPU.

The launches are those of the cases of ``ops``: each op runs on CPU tensors while a recorder stands
where Triton would launch. So what is compiled is what a GPU of that architecture would be given.
"""

import re
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from gram_kernels import launch
from gram_lab.bench.kernels import ARCHS, CompilationOptions
from gram_lab.bench.ops import OPS, Case

TYPES = {
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.bool: "*i1",
}
NUMBERS = {int: "i32", bool: "i32", float: "fp32"}
NUM_ROWS = 4
ALIGNMENT = 16


class Launch(NamedTuple):
    """One kernel with everything that determines its machine code."""

    kernel: Any
    signature: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, Any], ...]
    aligned: tuple[int, ...]
    options: tuple[tuple[str, int], ...]


Resources = dict[str, Any]
"""What one kernel uses on one architecture; ``stack_bytes`` are spilled registers, and arrays that
do not fit in registers."""


def measure(options: CompilationOptions) -> dict[str, Any]:
    jobs = [(arch, name) for arch in options.arch for name in options.op]
    with ProcessPoolExecutor(max_workers=2) as pool:
        return {"results": [each for found in pool.map(_compile_op, jobs) for each in found]}


def _compile_op(job: tuple[int, str]) -> list[Resources]:
    arch, name = job
    launches: dict[Launch, str] = {}
    for case in OPS[name].cases:
        for recorded in recorded_launches(case, arch):
            launches.setdefault(recorded, case.name)
    return [compiled(name, case, recorded, arch) for recorded, case in launches.items()]


def recorded_launches(case: Case, arch: int) -> list[Launch]:
    launch.DEFAULT_CAPABILITY = ARCHS[arch]
    launch.capability.cache_clear()
    launches: list[Launch] = []

    def record(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        launches.append(_launch(self, args, kwargs))

    with patch.object(JITFunction, "run", record):
        case.prepare("cpu", torch.float16, NUM_ROWS).run("triton")
    return launches


def _launch(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Launch:
    options = {name: value for name, value in kwargs.items() if name not in kernel.arg_names}
    named = {name: value for name, value in kwargs.items() if name in kernel.arg_names}
    values = kernel.signature.bind(*args, **named).arguments
    signature, constants, aligned = [], [], []
    for index, parameter in enumerate(kernel.params):
        value = values[parameter.name]
        if parameter.is_constexpr:
            signature.append((parameter.name, "constexpr"))
            constants.append((parameter.name, value))
            continue
        kind = TYPES[value.dtype] if torch.is_tensor(value) else NUMBERS[type(value)]
        signature.append((parameter.name, kind))
        is_number = isinstance(value, int) and not parameter.do_not_specialize
        if torch.is_tensor(value) or (is_number and value > 0 and value % ALIGNMENT == 0):
            aligned.append(index)
    return Launch(
        kernel=kernel,
        signature=tuple(signature),
        constants=tuple(constants),
        aligned=tuple(aligned),
        options=tuple(sorted(options.items())),
    )


def compiled(op: str, case: str, launched: Launch, arch: int) -> Resources:
    source = ASTSource(
        fn=launched.kernel,
        signature=dict(launched.signature),
        constexprs=dict(launched.constants),
        attrs={(index,): [["tt.divisibility", ALIGNMENT]] for index in launched.aligned},
    )
    options = dict(launched.options)
    binary = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        text = subprocess.run(
            [tool, "--dump-resource-usage", file.name], check=True, capture_output=True, text=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found is not None, text
    return {
        "op": op,
        "case": case,
        "kernel": launched.kernel.__name__,
        "arch": arch,
        "num_warps": binary.metadata.num_warps,
        "shared_bytes": binary.metadata.shared,
        "max_shared_bytes": launch.SHARED_MEMORY_BYTES[ARCHS[arch]],
        "registers": int(found[1]),
        "stack_bytes": int(found[2]),
    }
