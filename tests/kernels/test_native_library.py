"""How the native step is built: once, where nobody else can write, and never in silence."""

import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gram_kernels.supervision_step.native import refusal

MODULE = "gram_kernels.supervision_step.native.library"


@pytest.fixture
def building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module, with a home folder of its own; it may have been built before."""
    assert isinstance(refusal(), str)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return sys.modules[MODULE]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_it_is_built_once_and_kept(building: ModuleType, tmp_path: Path) -> None:
    assert building.library.__wrapped__().refusal == ""
    (made,) = (tmp_path / ".cache/gram-server").iterdir()
    before = made.stat().st_mtime_ns
    assert building.library.__wrapped__().functions is not None
    assert made.stat().st_mtime_ns == before


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_folder_that_others_may_write_to_is_not_used(
    building: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / ".cache/gram-server"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert building.library.__wrapped__().refusal == ""
    assert list(folder.iterdir()) == []


def test_without_a_compiler_it_says_so(
    building: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "no C compiler is installed" in building.library.__wrapped__().refusal


def test_a_compiler_that_fails_is_quoted(
    building: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "broken-cc"
    compiler.write_text(
        '#!/bin/sh\ntest "$1" = --version && exit 0\necho "no such unit" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(compiler))
    said = building.library.__wrapped__().refusal
    assert str(compiler) in said
    assert "no such unit" in said
