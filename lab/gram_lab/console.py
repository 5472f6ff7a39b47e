"""A progress line for long commands: rich's, on a terminal where it is installed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Yield a function that shows the share done, in 0..1, and a few words."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        line = progress.add_task("", total=1.0)
        yield lambda share, text: progress.update(line, completed=share, description=text)
