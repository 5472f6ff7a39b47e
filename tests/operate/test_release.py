"""What is shipped: wheel and sdist with the weights inside, one version."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import gram_server
from gram_kernels.supervision_step.native.objects import OBJECTS
from tests.processes import running, wait_until_ready

ROOT = Path(__file__).parents[2]
EASY = "1.34341221434321"
ELF, MACH_O = b"\x7fELF", bytes.fromhex("cffaedfe")
KINDS = {
    ("Linux", "x86_64"): (ELF, 62),
    ("Linux", "aarch64"): (ELF, 183),
    ("Darwin", "arm64"): (MACH_O, 0x0100000C),
}
"""Format and number of the machine, by the names of ``platform``."""
MAX_GLIBC_MINOR = 28
"""Of the oldest systems that wheels of torch run on."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist, the wheel built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    return folder


def weights() -> set[str]:
    shipped = (ROOT / "gram_core/weights").glob("*/model.safetensors")
    return {str(path.relative_to(ROOT)) for path in shipped}


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_weights_and_every_file_that_code_reads(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    assert gram_server.__version__ in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        unpacked = {name.partition("/")[2] for name in archive.getnames()}
    assert weights() <= inside & unpacked
    native = "gram_kernels/supervision_step/native/step.c"
    assert {"gram_server/jobs/lua/submit.lua", "gram_server/py.typed", native} <= inside
    assert wheel.stat().st_size < 25e6


def kind_of(content: bytes) -> tuple[bytes, int]:
    """Return the format of an object and the number of its machine in that format."""
    start, width = (18, 2) if content.startswith(ELF) else (4, 4)
    return content[:4], int.from_bytes(content[start : start + width], "little")


@pytest.mark.slow
def test_the_wheel_holds_small_objects_for_many_kinds_of_processors(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            name.rpartition("/")[2]: archive.read(name)
            for name in archive.namelist()
            if name.endswith(".so")
        }
    assert wheel.name.endswith("-py3-none-any.whl")
    wanted = {each.file_name for each in OBJECTS}
    if find_spec("ziglang") is None:
        # What there is instead may be of this machine alone, and older than an instruction set.
        wanted &= set(inside)
        assert inside or shutil.which("cc") is None
    assert set(inside) == wanted
    for each in OBJECTS:
        if each.file_name in inside:
            content = inside[each.file_name]
            assert kind_of(content) == KINDS[each.system, each.machine]
            assert len(content) < 150e3
            if find_spec("ziglang"):
                needed = re.findall(rb"GLIBC_2\.(\d+)", content)
                assert max(map(int, needed), default=0) <= MAX_GLIBC_MINOR


def test_an_editable_installation_has_no_objects_that_could_be_older_than_the_code() -> None:
    make = runpy.run_path(str(ROOT / "kernels/hatch_build.py"))["ObjectsHook"].initialize
    build_data: dict[str, dict[str, str]] = {"force_include": {}}
    make(SimpleNamespace(), "editable", build_data)
    assert build_data == {"force_include": {}}


@pytest.mark.slow
def test_an_installed_wheel_serves_without_a_compiler_from_a_folder_that_is_not_ours(
    built: Path, tmp_path: Path
) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    (wheel,) = built.glob("*.whl")
    libraries = Path(sysconfig.get_paths(vars={"base": str(home)})["purelib"])
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(libraries), str(wheel)], check=True, timeout=240)
    # The dependencies are those of the tests; an editable gram-server among them is not found.
    (libraries / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = home / "bin/python"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PATH"] = ""
    code = f"import gram_server; assert {str(home)!r} in gram_server.__file__"
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path, env=environ)
    options = ("serve", "--port", "0", "--model", "sudoku-4x4", "--num-threads", "1")
    log = tmp_path / "log"
    with running(log, *options, environ=environ, python=python, folder=tmp_path) as server:
        url = server.url()
        wait_until_ready(url)
        answer = httpx.post(f"{url}/solve?width=4", content=EASY, timeout=60.0).json()
    assert [found["answer"] for found in answer["solutions"]] == ["1234341221434321"]
    if list(libraries.glob("gram_kernels/supervision_step/native/*.so")):
        assert "native code: the installed object for" in log.read_text()


def test_the_change_log_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[([^]]+)\]", text, flags=re.MULTILINE)
    assert releases[:2] == ["Unreleased", gram_server.__version__]
