"""What is shipped: wheel and sdist with the weights inside, one version."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

import gram_server
from tests.processes import running, wait_until_ready

ROOT = Path(__file__).parents[2]
EASY = "1.34341221434321"


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


@pytest.mark.slow
def test_an_installed_wheel_serves_from_a_folder_that_is_not_ours(
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
    code = f"import gram_server; assert {str(home)!r} in gram_server.__file__"
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path, env=environ)
    options = ("serve", "--port", "0", "--model", "sudoku-4x4", "--num-threads", "1")
    log = tmp_path / "log"
    with running(log, *options, environ=environ, python=python, folder=tmp_path) as server:
        url = server.url()
        wait_until_ready(url)
        answer = httpx.post(f"{url}/solve?width=4", content=EASY, timeout=60.0).json()
    assert [found["answer"] for found in answer["solutions"]] == ["1234341221434321"]


def test_the_change_log_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[([^]]+)\]", text, flags=re.MULTILINE)
    assert releases[:2] == ["Unreleased", gram_server.__version__]
