"""Rows of latent state that advance by fused kernels: the ``Runner`` for models that have them.

On CUDA a supervision step is one replay of a captured graph, moves and starts are kernels, and the
host waits in ``read`` only, while the next step is under way. On a CPU a step is one call into
native code, for the live rows alone.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gram_core.checkpoint import LoadedModel
from gram_core.model import Gram
from gram_core.solve import unit_tables
from gram_core.step_weights import step_weights
from gram_kernels.slots import admit, compact
from gram_kernels.supervision_step import Step, StepBackend, StepRows, bind, can_fuse
from gram_kernels.tokens import NUM_FACTS
from gram_server.engine.runner import StepReport
from gram_server.engine.slots import Arrangement
from gram_server.engine.staging import Staging

if TYPE_CHECKING:
    from gram_kernels.backend import Backend

WARM_UP_CALLS = 2
"""Calls before a capture: the first ones compile kernels and set up libraries."""

logger = logging.getLogger(__name__)


class Flight(NamedTuple):
    """A step whose results are on their way to the host."""

    facts: Tensor
    """(rows, facts and answer) in host memory."""
    arrived: torch.cuda.Event | None
    num_rows: int


class FusedRunner:
    """Static rows on one device, and one captured graph for each bucket of live rows."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        num_slots: int,
        num_spares: int | None = None,
        fixed_shape: bool = True,
        dtype: torch.dtype | None = None,
        backend: StepBackend = "auto",
        captures: bool = True,
        lag: int | None = None,
    ) -> None:
        """Allocate everything a tick needs, on the model's device.

        Args:
            loaded: the model; it must have step weights.
            num_slots: rows that run.
            num_spares: rows that keep paused trajectories; as many as slots by default.
            fixed_shape: let no row's bits depend on the load. Fused, they never do; libraries
                pick their algorithms by the number of rows, so there all slots run always.
            dtype: what products are computed in; by default float16 on CUDA, else float32.
            backend: of the kernels.
            captures: whether a step on CUDA is a captured graph, or its kernels one by one.
            lag: steps that may be under way when the next is started, 0 or 1; by default 1 on CUDA.
        """
        self.num_slots = num_slots
        self.num_spares = num_slots if num_spares is None else num_spares
        self.capture_s: dict[int, float] = {}
        self._name = loaded.info.id
        model, task = loaded.model, loaded.task
        self._device = model.z0_high.device
        self.runs_ahead = self._device.type == "cuda"
        self._backend: Backend = "auto" if backend == "native" else backend
        self._is_native = backend == "native"
        self._captures = captures and self._device.type == "cuda"
        num_rows = num_slots + self.num_spares
        self._rows = StepRows.allocate(
            num_rows,
            task.length,
            model.config.dim,
            has_adjacency=task.has_adjacency,
            device=str(self._device),
        )
        weights = step_weights(model, task.units)
        is_cuda = self._device.type == "cuda"
        self._step = bind(
            self._rows,
            weights,
            unit_tables(task),
            dtype=dtype or (torch.float16 if is_cuda else torch.float32),
            backend=backend,
        )
        self._initial = _initial_state(model)
        self._staging = Staging(task, num_rows=num_rows, device=self._device)
        # Native code computes the live rows alone, whatever it is called for.
        is_one_size = self._is_native or (fixed_shape and not can_fuse(weights))
        self._buckets = [num_slots] if is_one_size else buckets(num_slots)
        self._calls: dict[int, Callable[[], None]] = {}
        self.lag = int(is_cuda) if lag is None else lag
        shape = (self.lag + 1, num_slots, self._rows.facts.shape[1])
        self._host_facts = torch.zeros(shape, dtype=torch.int32, pin_memory=is_cuda)
        self._num_steps = 0
        self._flights: deque[Flight] = deque()
        self._arranged_s: float | None = None
        self._started_s: float | None = None

    def warm_up(self) -> None:
        """Prepare a call of every bucket, on rows that hold nothing yet; ``capture_s`` says how
        long each took."""
        for num_rows in self._buckets:
            started_s = time.perf_counter()
            self._calls[num_rows] = self._prepared(num_rows)
            self.capture_s[num_rows] = time.perf_counter() - started_s

    def _prepared(self, num_rows: int) -> Callable[[], None]:
        """Return a call that advances the first rows: the replay of a graph on CUDA."""
        if self._captures:
            # No row is live for the calls before a capture, which may come in the middle of work.
            self._rows.num_live.zero_()
            try:
                return captured(self._step, num_rows, self._device)
            except RuntimeError as error:
                self._captures = False
                logger.warning(
                    "model %s: a step cannot be captured as a graph, so its kernels are started "
                    "one by one, which is slower: %s",
                    self._name,
                    error,
                )
        return partial(self._step, num_rows)

    @torch.inference_mode()
    def arrange(self, arrangement: Arrangement) -> None:
        """Copy rows as the moves say, then start new trajectories in theirs."""
        self._arranged_s = time.perf_counter()
        if arrangement.moves:
            compact(self._rows, *self._staging.moves(arrangement.moves), backend=self._backend)
        if arrangement.starts:
            starts = self._staging.starts(arrangement.starts)
            admit(
                self._rows,
                starts,
                self._initial,
                backend=self._backend,
                is_native=self._is_native,
            )

    @torch.inference_mode()
    def step(self, num_live: int) -> None:
        """Start one supervision step of the live rows, and the way of its results to the host."""
        self._started_s = self._arranged_s or time.perf_counter()
        self._arranged_s = None
        num_rows = next(size for size in self._buckets if size >= num_live)
        if num_rows not in self._calls:
            self._calls[num_rows] = self._prepared(num_rows)
        self._rows.num_live.copy_(self._staging.num_live(num_live), non_blocking=True)
        self._calls[num_rows]()
        facts = self._host_facts[self._num_steps % (self.lag + 1), :num_live]
        self._num_steps += 1
        facts.copy_(self._rows.facts[:num_live], non_blocking=True)
        arrived = None
        if self._device.type == "cuda":
            arrived = torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(self._device))
        num_computed = num_live if self._is_native else num_rows
        self._flights.append(Flight(facts, arrived, num_computed))
        self._staging.next_tick()

    def read(self) -> StepReport:
        """Wait for the oldest step under way and return its results: the one sync of a tick."""
        started_s, self._started_s = self._started_s or time.perf_counter(), None
        flight = self._flights.popleft()
        if flight.arrived is not None:
            flight.arrived.synchronize()
        facts = flight.facts.numpy()
        return StepReport(
            answers=facts[:, NUM_FACTS:].astype(np.uint8),
            is_valid=(facts[:, 0] != 0).tolist(),
            wants_halt=(facts[:, 1] != 0).tolist(),
            is_finite=(facts[:, 2] != 0).tolist(),
            num_violations=facts[:, 3].tolist(),
            value=np.ascontiguousarray(facts[:, 4]).view(np.float32).tolist(),
            num_rows=flight.num_rows,
            duration_s=time.perf_counter() - started_s,
        )


def _initial_state(model: Gram) -> Tensor | None:
    """Return (2, dim) h and l of a token at the start; None where each trajectory draws its own."""
    if model.config.initial_state == "random":
        return None
    return torch.stack((model.z0_high, model.z0_low))


def captured(step: Step, num_rows: int, device: torch.device) -> Callable[[], None]:
    """Return the replay of a graph that holds one step."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_CALLS):
            step(num_rows)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(num_rows)
    return graph.replay


def buckets(num_slots: int) -> list[int]:
    """Return the powers of two below ``num_slots``, and itself."""
    powers = [2**power for power in range((num_slots - 1).bit_length())]
    return [*powers, num_slots]
