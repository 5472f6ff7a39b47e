"""Builds the step's objects for many kinds of processors into a wheel.

With zig (``ziglang`` of PyPI) all of them; else this machine's, as far as its compiler can; without
either, none: an installation of the wheel then builds its own. An editable one never has any.
"""

import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from platform import machine, system
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path(__file__).resolve().parent / "gram_kernels/supervision_step/native"
OBJECTS = runpy.run_path(str(NATIVE / "objects.py"))


class ObjectsHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = TemporaryDirectory()
        for each in OBJECTS["OBJECTS"]:
            made = Path(self._folder.name) / each.file_name
            if make(each, made):
                target = f"gram_kernels/supervision_step/native/{made.name}"
                build_data["force_include"][str(made)] = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()


def make(each: Any, made: Path) -> bool:
    """Build an object, and return whether anything here can.

    Raises:
        CalledProcessError: zig failed, which builds them all.
    """
    # Named without a folder, which Mach-O would keep.
    output = ("-s", "-o", made.name)
    if find_spec("ziglang"):
        cpu = "+".join((each.march or "baseline", *each.features)).replace("-", "_")
        zig = (sys.executable, "-m", "ziglang")
        words = OBJECTS["command"]("cc", "-target", each.zig_target, f"-mcpu={cpu}", *output)
        # Its cache is below the home folder, which a build of an image may lack.
        home = {"HOME": str(made.parent), **os.environ}
        subprocess.run([*zig, *words], check=True, cwd=made.parent, env=home)
        return True
    compiler = OBJECTS["own_compiler"]()
    if compiler is None or (each.system, each.machine) != (system(), machine()):
        return False
    march = [f"-march={each.march}"] if each.march else []
    words = OBJECTS["command"](compiler, *march, *(f"-m{name}" for name in each.features), *output)
    return subprocess.run(words, cwd=made.parent).returncode == 0
