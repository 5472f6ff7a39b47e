"""Memory and utilisation of a worker's GPU, read from NVML at each scrape.

Needs the extra ``gpu``; without it, or without a driver, there is nothing to show.
"""

import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)


class GpuReading(NamedTuple):
    """What NVML says of a GPU at one moment."""

    memory_used_bytes: int
    memory_total_bytes: int
    utilisation: float
    """Share of the last sample in which a kernel ran."""


class GpuCollector(Collector):
    """Shows what a reader reads."""

    def __init__(self, read: Callable[[], GpuReading]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        reading = self._read()
        for name, text, value in (
            ("memory_used_bytes", "Memory in use, by every process.", reading.memory_used_bytes),
            ("memory_total_bytes", "Memory there is.", reading.memory_total_bytes),
            ("utilisation_ratio", "Share of time in which a kernel ran.", reading.utilisation),
        ):
            yield GaugeMetricFamily(f"gram_gpu_{name}", text, value=value)


def watch_gpu(registry: CollectorRegistry, uuid: str) -> None:
    """Show the GPU of that id from now on, where NVML can be asked."""
    if find_spec("pynvml") is None:
        return
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError as error:
        logger.warning("no metrics of the GPU: %s", error)
        return

    def read() -> GpuReading:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        return GpuReading(int(memory.used), int(memory.total), busy / 100)

    registry.register(GpuCollector(read))
