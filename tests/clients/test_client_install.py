"""The client in a clean environment: small, and without torch."""

import json
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_PACKAGES = 12
"""Beside the client itself."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clean_environment_holds_few_packages_and_no_torch(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run = subprocess.run(
        [*install, str(ROOT / "clients/python")], capture_output=True, text=True, check=False
    )
    if run.returncode and "No matching distribution" in run.stderr:
        pytest.skip("there is no package index on this machine")
    assert run.returncode == 0, run.stderr
    listing = [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    names = {package["name"].lower() for package in json.loads(listed)}
    brought = names - {"pip", "setuptools", "gram-client"}
    assert len(brought) <= MAX_PACKAGES, sorted(brought)
    assert not brought & {"torch", "numpy", "gram-server"}
    version = subprocess.run(
        [tmp_path / "env/bin/gram", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("gram, version ")
    assert list((tmp_path / "env").glob("lib/*/site-packages/gram_client/py.typed"))
