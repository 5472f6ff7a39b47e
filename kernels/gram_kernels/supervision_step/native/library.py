"""Loads the C of this folder: the best object that this installation has for the processor.

An installation without one, such as a checkout, has it built by the machine's compiler, once, and
cached under a hash of its sources, compiler, options and processor. Without a compiler, a
successful build or a usable folder, ``Library.refusal`` gives the reason.
"""

import ctypes
import hashlib
import platform
import subprocess
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gram_kernels.philox.reference import LATENT_STREAM
from gram_kernels.supervision_step.native import structures
from gram_kernels.supervision_step.native.cache import load_kept
from gram_kernels.supervision_step.native.objects import (
    COMPILERS,
    FOLDER,
    OPTIONS,
    command,
    fitting,
    own_compiler,
)

LIMIT_S = 120.0
CHUNK = 256
"""``gram_normals`` writes multiples of this many normals."""


class Library(NamedTuple):
    """The loaded functions, or why there are none."""

    functions: ctypes.CDLL | None
    refusal: str = ""
    origin: str = ""
    """Which build it is."""
    has_matrix_unit: bool = False
    has_integers: bool = False
    """Whether there are products of 8-bit integers."""


def refusal() -> str:
    """Return why the step cannot run natively here, or an empty string."""
    return library().refusal


def origin() -> str:
    """Return which build of the step runs here, or an empty string."""
    return library().origin


def product_kind() -> Literal["none", "vector", "matrix"]:
    loaded = library()
    if loaded.functions is None:
        return "none"
    return "matrix" if loaded.has_matrix_unit else "vector"


def has_integers() -> bool:
    """Return whether products of 8-bit integers can run here."""
    return library().has_integers


@cache
def library() -> Library:
    reason = f"this installation has no object for {platform.system()} on {platform.machine()}"
    for each in fitting(platform.system(), platform.machine(), torch.cpu.get_capabilities()):
        path = FOLDER / each.file_name
        if path.exists():
            try:
                return load(path, f"the installed object for {each.name}")
            except OSError as error:
                # Such as of another C library than that of this system.
                reason = str(error)
    return _built(reason)


def load(path: Path, origin: str) -> Library:
    functions = ctypes.CDLL(str(path))
    model, pointer = ctypes.POINTER(structures.Model), ctypes.c_void_p
    word, wide, flag = ctypes.c_uint32, ctypes.c_int64, ctypes.c_int
    functions.gram_memory.restype = wide
    functions.gram_memory.argtypes = (model, wide, wide, flag)
    rows, burst = ctypes.POINTER(structures.Rows), ctypes.POINTER(structures.Burst)
    functions.gram_steps.restype = None
    functions.gram_steps.argtypes = (model, rows, burst, wide, wide, flag, pointer)
    functions.gram_normals.restype = None
    functions.gram_normals.argtypes = (pointer, wide, ctypes.c_uint64, word, word, word)
    functions.gram_integer_capability.restype = ctypes.c_char_p
    capability = functions.gram_integer_capability().decode()
    return Library(
        functions,
        origin=origin,
        has_matrix_unit=bool(functions.gram_has_matrix_unit()),
        has_integers=bool(torch.cpu.get_capabilities().get(capability)),
    )


def normals(
    count: int, *, seed: int, trajectory: int, step: int, transition: int, stream: int
) -> Tensor:
    """Return ``count`` standard normals of one key, (count,) float32."""
    functions = library().functions
    assert functions is not None
    out = torch.zeros(-(-count // CHUNK) * CHUNK)
    purpose = (stream << 24) | transition
    functions.gram_normals(out.data_ptr(), count, seed % 2**64, trajectory % 2**32, step, purpose)
    return out[:count]


def latents(seeds: Tensor, trajectories: Tensor, count: int) -> Tensor:
    """Return the normals that random initial states are made of, (rows, count) float32."""
    rows = [
        normals(
            count,
            seed=seed,
            trajectory=trajectory,
            step=0,
            transition=0,
            stream=LATENT_STREAM,
        )
        for seed, trajectory in zip(seeds.tolist(), trajectories.tolist(), strict=True)
    ]
    return torch.stack(rows)


def _built(reason: str) -> Library:
    """Return what this machine's compiler makes, for its own processor; there is no object."""
    if platform.system() == "Windows":
        return Library(None, "the native step is not made for Windows")
    compiler = own_compiler()
    if compiler is None:
        return Library(None, f"{reason}, and no C compiler is installed ({', '.join(COMPILERS)})")
    try:
        return load_kept(
            _name(compiler),
            partial(_build, compiler),
            partial(load, origin=f"built by {compiler} for this processor"),
        )
    except subprocess.SubprocessError as error:
        detail = getattr(error, "stderr", None) or error
        return Library(None, f"{compiler} did not build it: {str(detail).strip()[-500:]}")
    except OSError as error:
        return Library(None, f"there is no place for it: {error}")


def _name(compiler: str) -> str:
    sources = sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")])
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, timeout=LIMIT_S, check=True
    ).stdout
    named = [version, _processor(), *OPTIONS, *(path.read_text("utf-8") for path in sources)]
    return f"step-{hashlib.sha256(chr(10).join(named).encode()).hexdigest()[:16]}.so"


def _build(compiler: str, made: Path) -> None:
    words = command(compiler, "-march=native", "-o", str(made))
    subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=True)


def _processor() -> str:
    """Return a description of the CPU: machines with other CPUs may share the cache folder."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("model", "flags", "Features", "CPU")
    first = text.split("\n\n", 1)[0].splitlines()
    return "\n".join(line for line in first if line.startswith(kinds))
