"""The API process runs the service without the model's libraries: its image needs none of them."""

import subprocess
import sys

PROGRAM = """
import sys
from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig, Settings
import gram_server.server, gram_server.cli

app = create_app(Settings(), store=MemoryStore(QueueConfig()))
assert app.openapi()["paths"]
heavy = {"torch", "triton", "safetensors", "ortools", "redis"} & set(sys.modules)
assert not heavy, heavy
print("light")
"""


def test_the_api_process_imports_no_torch() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "light"), ran.stderr
