"""Runs a command on a terminal of its own, as people do."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

Act = Callable[["subprocess.Popen[bytes]", str], None]


def on_terminal(
    *command: str,
    environment: Mapping[str, str] | None = None,
    act: Act = lambda process, shown: None,
) -> tuple[str, int]:
    """Return what a command shows and its status; ``act`` sees what it has shown so far."""
    master, slave = pty.openpty()
    environ: Mapping[str, str] = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        (sys.executable, "-m", *command),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environ, **(environment or {})},
    )
    os.close(slave)
    shown = b""
    # Reading fails once the other end has closed.
    with os.fdopen(master, "rb", buffering=0) as terminal, suppress(OSError):
        while chunk := terminal.read(4096):
            shown += chunk
            act(process, shown.decode(errors="replace"))
    return shown.decode(errors="replace").replace("\r\n", "\n"), process.wait(30)
