"""The processes that train one model together, as ``torchrun`` starts them; else there is one.

Each rank holds a part of the rows of every update, all draw the same numbers for all rows. So
neither a run nor what it saves depends on how many ranks there are, but for rounding.
DistributedDataParallel sums the gradients.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel as Parallel

from gram_core.errors import CoreError


class Stopped(CoreError):
    """Another process has ended, or this one was asked to end."""

    code = "stopped"


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Join the other ranks where torchrun has started some.

    Raises:
        Stopped: one of them has ended, or this one was asked to.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    _heed(_stop)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    try:
        yield
    except RuntimeError as error:
        # A connection that gloo has lost raises no class of its own.
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        _stop()
    finally:
        distributed.destroy_process_group()


def leave(status: int) -> int:
    """End a rank at once, as threads of its group may outlive the interpreter and abort it.

    A process that has no others returns the status.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _heed(handler: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _stop(*_: object) -> NoReturn:
    # torchrun tells those that are left to end, while they do.
    _heed(signal.SIG_IGN)
    raise Stopped(
        "a process of this run has ended, or was asked to: --resume goes on from the last save"
    )


def count() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Return whether this rank is the one that saves and speaks."""
    return count() == 1 or distributed.get_rank() == 0


def own(num_rows: int) -> slice:
    """Return which of all rows are this rank's."""
    size = num_rows // count()
    first = 0 if is_first() else distributed.get_rank() * size
    return slice(first, first + size)


def held(rows: NDArray[np.int64], num_rows: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which of some rows are this rank's, and their places among its own."""
    kept = own(num_rows)
    is_held = (rows >= kept.start) & (rows < kept.stop)
    return is_held, rows[is_held] - kept.start


def whole(part: Tensor) -> Tensor:
    """Return the rows of all ranks."""
    if count() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(count())]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def total(values: Tensor) -> Tensor:
    """Sum the values of all ranks, in place."""
    if count() > 1:
        distributed.all_reduce(values)
    return values


def agreed(value: float) -> float:
    """Return the value of the first rank, for what is measured."""
    if count() == 1:
        return value
    first = torch.tensor(value, dtype=torch.float64)
    distributed.broadcast(first, src=0)
    return first.item()


class _Forward(nn.Module):
    """Runs whatever makes a loss of parameters: what DistributedDataParallel can wrap."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.shared = nn.ParameterList(parameters)

    def forward(self, loss: Callable[[], Tensor]) -> Tensor:
        return loss()


class Gradients:
    """Differentiates losses into parameters."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, uses_all: bool) -> None:
        """Tell in ``uses_all`` whether every loss depends on every parameter."""
        self._run: nn.Module = _Forward(parameters)
        if count() > 1:
            self._run = Parallel(self._run, find_unused_parameters=not uses_all)

    def add(self, losses: Sequence[Callable[[], Tensor]]) -> None:
        """Add the gradients of the sum of the losses of all ranks; each has as many."""
        run = self._run
        for index, loss in enumerate(losses, 1):
            waits = index < len(losses)
            with run.no_sync() if isinstance(run, Parallel) and waits else nullcontext():
                # It divides by the number of ranks.
                (count() * run(loss)).backward()
