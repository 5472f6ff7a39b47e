"""Settings every test shares: repeatable examples, and one thread for the tiny models."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors here are too small for two threads, which wait for each other on a busy machine."""
    torch.set_num_threads(1)
