"""A server of this product that all measurements share, on a model that solves at once."""

from collections.abc import Iterator

import pytest

from gram_lab.bench.servers import CONTENDERS, OURS, Started, running


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    log = tmp_path_factory.mktemp("server") / "log"
    models = ("sudoku-4x4",)
    with running(
        CONTENDERS[OURS], models=models, num_threads=1, log=log, timeout_s=60.0
    ) as started:
        yield started
