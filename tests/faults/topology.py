"""Sentinels, clusters and certificates for Redis servers of the tests' own."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import wait_for

SERVICE = "gram"


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates for 127.0.0.1."""

    folder: Path

    @property
    def certificate(self) -> str:
        return str(self.folder / "ca.pem")

    def found(self) -> "Authority":
        self.folder.mkdir()
        key = str(self.folder / "ca.key")
        flags = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=tests")
        openssl("req", "-x509", "-days", "2", *flags, "-out", self.certificate)
        return self

    def sign(self, name: str) -> tuple[str, str]:
        """Return the files of a certificate and its key."""
        request, key, signed, names = (
            str(self.folder / f"{name}.{end}") for end in ("csr", "key", "pem", "txt")
        )
        Path(names).write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        flags = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={name}")
        openssl("req", *flags, "-out", request)
        issuer = ("-CA", self.certificate, "-CAkey", str(self.folder / "ca.key"))
        more = ("-CAcreateserial", "-days", "2", "-extfile", names, "-out", signed)
        openssl("x509", "-req", "-in", request, *issuer, *more)
        return signed, key

    def flags(self, port: int) -> tuple[str, ...]:
        """Return what a Redis needs to listen on a port with TLS."""
        signed, key = self.sign(f"server-{port}")
        files = ("--tls-cert-file", signed, "--tls-key-file", key)
        return ("--tls-port", str(port), *files, "--tls-ca-cert-file", self.certificate)


@dataclass(frozen=True, slots=True)
class Cli:
    """Asks servers as an operator does, by TLS where there is an authority."""

    authority: Authority | None = None

    def __call__(self, port: int, *command: str) -> str:
        if shutil.which("redis-cli") is None:
            pytest.skip("there is no redis-cli to ask with")
        tls = ("--tls", "--cacert", self.authority.certificate) if self.authority else ()
        cli = ["redis-cli", *tls, "-p", str(port), *command]
        return subprocess.run(cli, capture_output=True, text=True, check=False).stdout

    def form_cluster(self, ports: Sequence[int]) -> int:
        """Make a cluster of empty nodes; return the place of the one that holds our queue."""
        hosts = [f"127.0.0.1:{port}" for port in ports]
        created = self(ports[0], "--cluster", "create", *hosts, "--cluster-yes")
        wait_for(lambda: all("cluster_state:ok" in self(port, "cluster", "info") for port in ports))
        slot = self(ports[0], "cluster", "keyslot", "{gram}").strip()
        moved = [f"MOVED {slot}" in self(port, "get", "{gram}x") for port in ports]
        assert sorted(moved) == [False, *[True] * (len(ports) - 1)], created
        return moved.index(False)


@contextmanager
def sentinels(
    folder: Path, ports: Sequence[int], master_port: int, cli: Cli, *, quorum: int
) -> Iterator[None]:
    """Let sentinels watch over a master until the context is left."""
    watch = f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} {quorum}"
    processes = []
    for port in ports:
        lines = [f"port {port}"]
        if cli.authority is not None:
            pairs = zip(*[iter(cli.authority.flags(port))] * 2, strict=True)
            lines = [f"{flag.removeprefix('--')} {value}" for flag, value in pairs]
            lines += ["port 0", "tls-auth-clients no", "tls-replication yes"]
        lines += ["bind 127.0.0.1", f"dir {folder}", watch]
        lines += [f"sentinel down-after-milliseconds {SERVICE} 1000"]
        lines += [f"sentinel failover-timeout {SERVICE} 5000"]
        config = folder / f"sentinel-{port}.conf"
        config.write_text("\n".join(lines) + "\n")
        with config.with_suffix(".log").open("wb") as log:
            command = ["redis-server", str(config), "--sentinel"]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))
    others = f"num-other-sentinels\n{len(ports) - 1}"
    try:
        wait_for(lambda: all(others in cli(one, "sentinel", "master", SERVICE) for one in ports))
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait(20.0)
