from collections.abc import Iterator

import pytest

from gram_server.settings import Settings
from tests.server.api.serving import serving

TASKS = ("sudoku-4x4", "nqueens-4", "graph-coloring-3")


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Serve on a free port until the last test of the module."""
    with serving(Settings(), TASKS) as url:
        yield url
