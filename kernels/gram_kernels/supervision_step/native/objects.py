"""The objects that wheels carry: the C of this folder, built ahead for kinds of processors.

Needs no package, because the build of a wheel reads it before any is installed.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
COMPILERS = ("cc", "gcc", "clang")
# Without fp-contract, Clang would fuse fewer products and sums than GCC.
OPTIONS = (
    "-O3",
    "-std=gnu11",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fPIC",
    "-shared",
    "-pthread",
)


class Object(NamedTuple):
    """One build of the step."""

    name: str
    system: str
    machine: str
    """As ``platform`` names them."""
    zig_target: str
    march: str = ""
    """The kind of processor, by the name of GCC; empty is the least of its machine."""
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Capabilities of the processor, by the names of ``torch.cpu.get_capabilities``."""

    @property
    def file_name(self) -> str:
        return f"step-{self.name}.so"


_X86 = ("Linux", "x86_64", "x86_64-linux-gnu.2.28")
_V2 = ("sse3", "ssse3", "sse4_1", "sse4_2", "popcnt")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma3", "lzcnt")
_V4 = (*_V3, "avx512_f", "avx512_bw", "avx512_cd", "avx512_dq", "avx512_vl")
_AMX = (*_V4, "avx512_bf16", "amx_bf16", "amx_tile")

OBJECTS = (
    Object(
        "x86-64-amx",
        *_X86,
        "x86-64-v4",
        features=("avx512bf16", "amx-bf16", "amx-tile"),
        needs=_AMX,
    ),
    Object("x86-64-v4", *_X86, "x86-64-v4", needs=_V4),
    Object("x86-64-v3", *_X86, "x86-64-v3", needs=_V3),
    Object("x86-64-v2", *_X86, "x86-64-v2", needs=_V2),
    Object("arm64", "Linux", "aarch64", "aarch64-linux-gnu.2.28"),
    Object("macos-arm64", "Darwin", "arm64", "aarch64-macos"),
)
"""The best of each machine first."""


def fitting(system: str, machine: str, capabilities: Mapping[str, Any]) -> list[Object]:
    """Return the objects that a processor can run, the best first."""
    return [
        each
        for each in OBJECTS
        if (each.system, each.machine) == (system, machine)
        and all(capabilities.get(need) for need in each.needs)
    ]


def own_compiler() -> str | None:
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def command(compiler: str, *options: str) -> list[str]:
    """Return what builds the step; the options say for which processor, and which file."""
    return [compiler, *OPTIONS, *options, str(FOLDER / "step.c"), "-lm"]
