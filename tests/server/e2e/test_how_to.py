"""The proxies of ``docs/how-to.md``, run as they stand before a real server."""

import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gram_core import puzzles
from gram_lab.train import command as lab
from gram_server.settings import HttpConfig
from tests.conftest import free_port
from tests.server.e2e.conftest import EASY, MakeServer, Server

PAGE = (Path(__file__).parents[3] / "docs/how-to.md").read_text(encoding="utf-8")
NAME = "puzzles.example.org"
EMPTY = "." * 16
pytestmark = pytest.mark.slow


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl on this machine")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "puzzles.pem", folder / "puzzles.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    make += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    make += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run(make, check=True, capture_output=True)
    return paths


def nginx(folder: Path, port: int, certificate: tuple[Path, Path], address: str) -> list[str]:
    site = block("nginx").replace("listen 443", f"listen 127.0.0.1:{port}")
    for path, place in zip(certificate, ("", "private/"), strict=True):
        site = site.replace(f"/etc/ssl/{place}{path.name};", f"{path};")
    site = site.replace("http://127.0.0.1:8000", address)
    # Its workers may not look into a folder of root's.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body;"
        f" proxy_temp_path {folder}/proxy;\n{site} }}\n"
    )
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, certificate: tuple[Path, Path], address: str) -> list[str]:
    site = block("caddy").replace(NAME, f"https://{NAME}:{port}", 1)
    site = site.replace("127.0.0.1:8000", address)
    tls = f"tls {certificate[0]} {certificate[1]}"
    site = site.replace("{\n", f"{{\n    bind 127.0.0.1\n    {tls}\n", 1)
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    named_server: Server,
) -> Iterator[httpx.Client]:
    """A client that knows the certificate, and the proxy by the server's public name."""
    if shutil.which(request.param.__name__) is None:
        pytest.skip(f"there is no {request.param.__name__} on this machine")
    port = free_port()
    command = request.param(tmp_path, port, certificate, named_server.url)
    command[0] = shutil.which(command[0])
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={"HOME": str(tmp_path)})
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    headers, extensions = {"Host": NAME}, {"sni_hostname": NAME}
    try:
        with httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=trust, headers=headers, timeout=60.0
        ) as client:
            client.event_hooks["request"].append(lambda sent: sent.extensions.update(extensions))
            end_s = time.monotonic() + 30.0
            while not answers(client):
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < end_s
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.communicate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def named_server(checkpoint: Path, make_server: MakeServer) -> Server:
    """A server that is told the settings of the page."""
    command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", "0"]
    command += ["--model", str(checkpoint), "--num-threads", "1"]
    names = dict(re.findall(r"(GRAM_SERVER_\w+)=(\S+)", section("Serve over TLS")))
    environment = {**os.environ, **names}
    return make_server(
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    )


def test_a_proxy_passes_solves_on_by_the_public_name(proxied: httpx.Client) -> None:
    answer = proxied.post("/solve", content=EASY)
    assert answer.status_code == 200
    assert answer.json()["distinct"] == 1
    # Its page comes from the name that its visitors use, and posts from there.
    posted = proxied.post("/solve", content=EASY, headers={"Origin": f"https://{NAME}"})
    assert posted.status_code == 200
    assert proxied.get("/").status_code == 200


def test_a_proxy_passes_events_on_as_they_come(proxied: httpx.Client) -> None:
    query: dict[str, str | int] = {"width": 64, "depth": 1024, "halt": "never", "deadline_ms": 4000}
    headers = {"Accept": "text/event-stream"}
    started_s, times_s = time.monotonic(), []
    with proxied.stream("POST", "/solve", params=query, content=EMPTY, headers=headers) as events:
        assert events.status_code == 200
        for line in events.iter_lines():
            if line.startswith("event: "):
                times_s.append(time.monotonic() - started_s)
    # What is held back comes all at once.
    assert times_s[0] < times_s[-1] / 2


def test_a_proxy_takes_bodies_as_large_as_the_server_does(proxied: httpx.Client) -> None:
    largest = HttpConfig().max_body_bytes
    assert proxied.post("/solve", content=b" " * (largest - 1)).status_code == 400
    assert proxied.post("/solve", content=b" " * (largest + 1)).status_code == 413
    (read_s,) = re.findall(r"proxy_read_timeout (\d+)s", PAGE)
    assert int(read_s) > HttpConfig().max_deadline_ms / 1e3


@pytest.mark.parametrize("line", re.findall(r"^gram-lab train (.*)$", PAGE, re.MULTILINE))
def test_commands_of_the_lab_are_understood(line: str) -> None:
    options = lab.parser().parse_args(line.split())
    assert puzzles.task(options.puzzle)
