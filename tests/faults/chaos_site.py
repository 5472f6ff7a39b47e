"""The processes that chaos.py hurts: Redis, API processes and workers that sleep."""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NUM_API = 4
NUM_WORKERS = 3
LEASE_S = 2.0
FLAGS = ("--lease-s", str(LEASE_S), "--work-s", "0.1", "--room", "8", "--max-attempts", "1000")
# Short times, so that memory can be seen to be flat within minutes.
KEEPING = {"GRAM_SERVER_KEEP_JOBS_S": "120", "GRAM_SERVER_KEEP_KEYS_S": "240"}


class Site:
    """The processes that are up for killing, and those that serve."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.store = f"redis://127.0.0.1:{self.port}/0"
        self.ports = [free_port() for _ in range(NUM_API)]
        self.redis = self._start_redis()
        self.apis = [self._start_api(port) for port in self.ports]
        self.workers = [self._start_worker() for _ in range(NUM_WORKERS)]

    def kill_worker(self, chance: random.Random) -> None:
        place = chance.randrange(NUM_WORKERS)
        end(self.workers[place])
        self.workers[place] = self._start_worker()

    def replace_dead(self) -> int:
        """Start workers again that ended by themselves; return how many did."""
        dead = [place for place, worker in enumerate(self.workers) if worker.poll() is not None]
        for place in dead:
            self.workers[place] = self._start_worker()
        return len(dead)

    def kill_redis(self) -> None:
        end(self.redis)
        self.redis = self._start_redis()

    def close(self) -> None:
        """End every process, stopped ones too."""
        for process in (*self.apis, *self.workers, self.redis):
            end(process)

    def _start_redis(self) -> "subprocess.Popen[bytes]":
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "always"]
        return self._start(command, "redis")

    def _start_api(self, port: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "gram_server.cli", "serve", "--port", str(port)]
        return self._start([*command, "--store", self.store], f"api-{port}")

    def _start_worker(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(HERE / "sleeping_worker.py"), "--store", self.store]
        return self._start([*command, *FLAGS], "worker")

    def _start(self, command: list[str], name: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("ab") as log:
            environ = {**os.environ, **KEEPING}
            return subprocess.Popen(command, stdout=log, stderr=log, env=environ)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(20.0)
