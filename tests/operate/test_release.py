"""What is shipped: wheel and sdist with the weights inside, one version."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

import gram_server.version

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
    assert gram_server.version.__version__ in wheel.name
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
    python = [str(home / "bin/python"), "-m", "gram_server.cli"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = ["serve", "--port", "0", "--model", "sudoku-4x4", "--num-threads", "1"]
    code = f"import gram_server; assert {str(home)!r} in gram_server.__file__"
    subprocess.run([python[0], "-c", code], check=True, cwd=tmp_path, env=environment)
    server = subprocess.Popen(
        [*python, *options], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert solve(server) == "1234341221434321"
    finally:
        server.terminate()
        server.communicate(timeout=120)


def solve(server: "subprocess.Popen[str]") -> str:
    """Ask a server for a puzzle as soon as it is ready."""
    assert server.stderr is not None
    lines = (json.loads(line) for line in server.stderr if line.startswith("{"))
    messages = (str(line["message"]) for line in lines)
    url = next(text for text in messages if text.startswith("listening on ")).split()[-1]
    while httpx.get(f"{url}/readyz").status_code == 503:
        time.sleep(0.1)
    answer = httpx.post(f"{url}/solve?width=4", content=EASY).json()
    return str(answer["solutions"][0]["answer"])


def test_the_change_log_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[([^]]+)\]", text, flags=re.MULTILINE)
    assert releases[:2] == ["Unreleased", gram_server.version.__version__]
