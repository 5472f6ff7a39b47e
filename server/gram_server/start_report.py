"""Start-up reports of a worker to its parent process: lines of JSON on standard output."""

import json
import os
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

OUTPUT = 1
"""Standard output, which a worker uses for nothing else."""


class Stage(StrEnum):
    """Stage of a worker's start."""

    CHECKED = "checked"
    """The settings can work here, and every model is loaded."""
    READY = "ready"
    REFUSED = "refused"
    """The settings cannot work here: a retry would fail too."""
    FAILED = "failed"
    """The start failed; a retry may succeed."""


class StartReport(NamedTuple):
    """One report of a worker."""

    stage: Stage
    reason: str = ""

    def send(self) -> None:
        """Write it to the parent process, if that still lives."""
        line = json.dumps({"start": self.stage, "reason": self.reason}) + "\n"
        with suppress(OSError):
            os.write(OUTPUT, line.encode())


def read_start_report(line: bytes) -> StartReport | None:
    """Return the report in a line of a worker's output; None for a library's output."""
    try:
        values = json.loads(line)
        return StartReport(Stage(values["start"]), str(values["reason"]))
    except (ValueError, KeyError, TypeError):
        return None
