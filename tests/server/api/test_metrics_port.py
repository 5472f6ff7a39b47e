"""The metrics on a port of their own, from a real process; it needs neither Redis nor a worker."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gram_server.errors import ConfigError
from gram_server.settings import HttpConfig, Settings

NOBODY = "redis://127.0.0.1:1/0"
ADMIN = {"Authorization": "Bearer token"}


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Yield where the server listens, and where its metrics are."""
    digest = hashlib.sha256(b"token").hexdigest()
    keys = tmp_path / "keys.json"
    entry = {"name": "root", "sha256": digest, "scopes": ["admin"]}
    keys.write_text(json.dumps({"keys": [entry]}), "utf-8")
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--store", NOBODY]
    command += ["--port", "0", "--metrics-port", "0", "--keys", str(keys)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found: dict[str, str] = {}
    while len(found) < 2:
        message = json.loads(process.stderr.readline())["message"]
        what, is_address, url = message.partition(" on http://")
        if is_address:
            found[what] = f"http://{url}"
    yield found["listening"], found["metrics"]
    process.terminate()
    assert process.wait(30.0) == 0
    process.stderr.close()


@pytest.mark.slow
def test_metrics_have_a_port_of_their_own_and_it_has_nothing_else(urls: tuple[str, str]) -> None:
    public, private = urls
    scraped = httpx.get(f"{private}/metrics")
    assert scraped.status_code == 200
    assert "gram_ready 0.0" in scraped.text
    for path in ("/", "/solve", "/jobs", "/livez", "/docs", "/metrics/"):
        for method in ("GET", "POST"):
            assert httpx.request(method, f"{private}{path}").status_code in (307, 404), path
    assert httpx.post(f"{private}/metrics").status_code == 405
    assert httpx.get(f"{public}/metrics").status_code == 401
    assert httpx.get(f"{public}/metrics", headers=ADMIN).status_code == 404
    assert httpx.get(f"{public}/livez").status_code == 200
    assert "/metrics" not in httpx.get(f"{public}/openapi.json", headers=ADMIN).json()["paths"]


def test_both_ports_cannot_be_the_same() -> None:
    with pytest.raises(ConfigError, match="metrics_port"):
        HttpConfig(port=9000, metrics_port=9000)
    assert Settings.load({"metrics_port": 9090}, environ={}).http.metrics_port == 9090
