"""A progress line for long commands: rich's, on a terminal where it is installed; else now and then
a line on standard error, each percent once.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

SAY_EVERY_S = 20.0


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Yield a function that shows the share done, in 0..1, and a few words."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        said_s, said = 0.0, ""

        def say(share: float, text: str) -> None:
            nonlocal said_s, said
            percent = f"{share:.0%}"
            is_due = time.monotonic() >= said_s + SAY_EVERY_S or share >= 1.0
            if is_due and percent != said:
                said_s, said = time.monotonic(), percent
                sys.stderr.write(f"{percent} {text}\n")

        yield say
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        line = progress.add_task("", total=1.0)
        yield lambda share, text: progress.update(line, completed=share, description=text)
