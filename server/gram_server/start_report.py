"""What a worker says of its start to the process that started it: lines of JSON on its output."""

import json
import os
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

OUTPUT = 1
"""Standard output, which a worker uses for nothing else."""


class Stage(StrEnum):
    """How far a start has come."""

    CHECKED = "checked"
    """The settings can work here, and every model is loaded."""
    READY = "ready"
    REFUSED = "refused"
    """The settings cannot work here: another start would end the same way."""
    FAILED = "failed"
    """The start ended early, and another may do better."""


class StartReport(NamedTuple):
    """One word of a worker on its start."""

    stage: Stage
    reason: str = ""

    def send(self) -> None:
        """Write it for the process that reads our output, if that still lives."""
        line = json.dumps({"start": self.stage, "reason": self.reason}) + "\n"
        with suppress(OSError):
            os.write(OUTPUT, line.encode())


def read_start_report(line: bytes) -> StartReport | None:
    """Return what a line of a worker's output says; None where a library wrote it."""
    try:
        values = json.loads(line)
        return StartReport(Stage(values["start"]), str(values["reason"]))
    except (ValueError, KeyError, TypeError):
        return None
