"""How the native step is built: once, where nobody else can write, and never in silence."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gram_kernels.supervision_step.native import refusal

MODULE = "gram_kernels.supervision_step.native.library"


needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture
def compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module, with a home folder of its own; it may have been built before."""
    assert isinstance(refusal(), str)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return sys.modules[MODULE]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library as the compiler leaves it."""
    assert isinstance(refusal(), str)
    made = tmp_path_factory.mktemp("native") / "step.so"
    sys.modules[MODULE]._build(shutil.which("cc"), made)
    return made


@pytest.fixture
def building(compiling: ModuleType, built: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module with a compiler that takes no time."""
    monkeypatch.setattr(compiling, "_build", lambda compiler, made: shutil.copy(built, made))
    return compiling


@pytest.mark.slow
@needs_compiler
def test_it_is_built_once_and_kept(compiling: ModuleType, tmp_path: Path) -> None:
    assert compiling.library.__wrapped__().refusal == ""
    (made,) = (tmp_path / ".cache/gram-server").iterdir()
    before = made.stat().st_mtime_ns
    assert compiling.library.__wrapped__().functions is not None
    assert made.stat().st_mtime_ns == before


@pytest.mark.slow
@needs_compiler
def test_a_folder_that_others_may_write_to_is_not_used(
    building: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / ".cache/gram-server"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert building.library.__wrapped__().refusal == ""
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("damage", ["empty", "cut off", "garbage", "one byte", "older form"])
def test_a_damaged_library_is_built_again_once(
    building: ModuleType, tmp_path: Path, damage: str
) -> None:
    assert building.library.__wrapped__().refusal == ""
    (made,) = (tmp_path / ".cache/gram-server").iterdir()
    whole = made.read_bytes()
    content = {
        "empty": b"",
        "cut off": whole[: len(whole) // 2],
        "garbage": b"not a library at all",
        "one byte": whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
        "older form": whole.rpartition(b"\nsha256=")[0],
    }[damage]
    # As a new file: the old one is still mapped by this process.
    made.unlink()
    made.write_bytes(content)
    loaded = building.library.__wrapped__()
    assert loaded.refusal == ""
    assert loaded.functions.gram_steps is not None
    assert made.read_bytes() == whole
    assert list(made.parent.iterdir()) == [made]
    before = made.stat().st_mtime_ns
    assert building.library.__wrapped__().refusal == ""
    assert made.stat().st_mtime_ns == before


@pytest.mark.slow
@needs_compiler
def test_a_folder_that_no_code_is_loaded_from_is_passed_over_by_name(
    building: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr("gram_kernels.supervision_step.native.cache.OTHER_PLACES", ())
    forbidden = {tmp_path / ".cache/gram-server"}
    statvfs = os.statvfs

    def mounted(path: Path) -> Any:
        if not any(Path(path).is_relative_to(each) for each in forbidden):
            return statvfs(path)
        return SimpleNamespace(f_flag=statvfs(path).f_flag | os.ST_NOEXEC)

    monkeypatch.setattr(os, "statvfs", mounted)
    assert building.library.__wrapped__().refusal == ""
    assert list(temporary.iterdir()) == []
    forbidden.add(temporary)
    said = building.library.__wrapped__().refusal
    assert said.count("is mounted noexec") == 2
    assert str(tmp_path / ".cache/gram-server") in said


@pytest.mark.slow
@needs_compiler
def test_a_real_noexec_mount_is_passed_over(tmp_path: Path) -> None:
    unshare = ("unshare", "--mount", "--", "sh", "-c")
    mount = f"mount -t tmpfs -o noexec tmpfs {tmp_path}"
    tried = subprocess.run((*unshare, mount), capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"nothing can be mounted here: {tried.stderr}")
    program = "from gram_kernels.supervision_step.native import refusal; print(repr(refusal()))"
    ran = subprocess.run(
        (*unshare, f"{mount} && {sys.executable} -c '{program}'"),
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )
    assert ran.stdout == "''\n"


@pytest.mark.slow
@needs_compiler
def test_what_a_killed_build_left_is_removed(building: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / ".cache/gram-server"
    old, new = folder / "build-old", folder / "build-new"
    for path in (old, new):
        path.mkdir(parents=True)
    folder.chmod(0o700)
    os.utime(old, (0, 0))
    assert building.library.__wrapped__().refusal == ""
    assert not old.exists()
    assert new.exists()


def test_without_a_compiler_it_says_so(
    compiling: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "no C compiler is installed" in compiling.library.__wrapped__().refusal


def test_a_compiler_that_fails_is_quoted(
    compiling: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "broken-cc"
    compiler.write_text(
        '#!/bin/sh\ntest "$1" = --version && exit 0\necho "no such unit" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(compiler))
    said = compiling.library.__wrapped__().refusal
    assert str(compiler) in said
    assert "no such unit" in said
