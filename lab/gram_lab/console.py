"""A progress line for long commands: rich's, on a terminal where it is installed."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """Draws itself on a terminal and stays silent elsewhere."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        if sys.stderr.isatty() and find_spec("rich") is not None:
            self._progress = _started()

    def show(self, share: float, text: str) -> None:
        """Show the done share in 0..1, the expected end, and a few words."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=share, description=text)

    def close(self) -> None:
        """End the line."""
        if self._progress is not None:
            self._progress.stop()


def _started() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True))
    progress.add_task("", total=1.0)
    progress.start()
    return progress
