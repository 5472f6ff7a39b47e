"""Memory and utilisation of a worker's GPU, read from NVML at each scrape.

Needs the extra ``gpu``; shows nothing without it or without a driver.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)


class Gauge(NamedTuple):
    """One reading of a GPU by NVML."""

    name: str
    text: str
    read: Callable[[], float]


class GpuCollector(Collector):
    """Exports readable gauges; logs each unreadable one once."""

    def __init__(self, gauges: Sequence[Gauge], *, error: type[Exception]) -> None:
        self._gauges = gauges
        self._error = error
        self._missed: set[str] = set()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in self._gauges:
            try:
                value = gauge.read()
            except self._error as error:
                if gauge.name not in self._missed:
                    self._missed.add(gauge.name)
                    logger.warning("no %s of the GPU: %s", gauge.name, error)
            else:
                yield GaugeMetricFamily(f"gram_gpu_{gauge.name}", gauge.text, value=value)


def watch_gpu(registry: CollectorRegistry, uuid: str) -> None:
    """Export the metrics of the GPU of that id, if NVML is available."""
    if find_spec("pynvml") is None:
        return
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError as error:
        logger.warning("no metrics of the GPU: %s", error)
        return

    def memory() -> Any:
        return pynvml.nvmlDeviceGetMemoryInfo(handle)

    def utilisation() -> float:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100

    gauges = (
        Gauge("memory_used_bytes", "Memory in use, by every process.", lambda: memory().used),
        Gauge("memory_total_bytes", "Memory there is.", lambda: memory().total),
        Gauge("utilisation_ratio", "Share of time in which a kernel ran.", utilisation),
    )
    registry.register(GpuCollector(gauges, error=pynvml.NVMLError))
