"""Metrics of a GPU, from an NVML that a test has the say of."""

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gram_server.metrics.gpu import watch_gpu
from gram_server.worker.process import serve_metrics
from tests.conftest import free_port


class FakeNvml(ModuleType):
    """NVML whose answers are attributes; those in ``broken`` fail."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.__spec__ = ModuleSpec("pynvml", None)
        self.used, self.total, self.busy = 1, 4, 50
        self.broken: set[str] = set()
        self.uuids: list[str] = []

    def nvmlInit(self) -> None:  # noqa: N802
        self._check("init")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.uuids.append(uuid)
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        self._check("memory")
        return SimpleNamespace(used=self.used, total=self.total)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        self._check("utilisation")
        return SimpleNamespace(gpu=self.busy)

    def _check(self, what: str) -> None:
        if what in self.broken:
            raise self.NVMLError("GPU is lost")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def registry(nvml: FakeNvml) -> CollectorRegistry:
    registry = CollectorRegistry()
    watch_gpu(registry, "abc")
    return registry


def test_a_gpu_is_read_at_every_scrape(nvml: FakeNvml, registry: CollectorRegistry) -> None:
    generate_latest(registry)
    nvml.used, nvml.busy = 3, 75
    text = generate_latest(registry).decode()
    assert nvml.uuids == ["GPU-abc"]
    assert "gram_gpu_memory_used_bytes 3.0" in text
    assert "gram_gpu_memory_total_bytes 4.0" in text
    assert "gram_gpu_utilisation_ratio 0.75" in text


def test_what_cannot_be_read_is_left_out_and_said_once(
    nvml: FakeNvml, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    nvml.broken = {"utilisation"}
    for _ in range(3):
        text = generate_latest(registry).decode()
        assert "gram_gpu_memory_used_bytes 1.0" in text
        assert "utilisation" not in text
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "GPU is lost" in warnings[0].getMessage()
    nvml.broken = set()
    assert "gram_gpu_utilisation_ratio 0.5" in generate_latest(registry).decode()


def test_a_scrape_is_answered_while_the_gpu_is_lost(
    nvml: FakeNvml, registry: CollectorRegistry
) -> None:
    port = free_port()
    serve_metrics(registry, host="127.0.0.1", port=port)
    nvml.broken = {"memory", "utilisation"}
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        assert reply.status == 200
        assert b"gram_gpu" not in reply.read()


def test_without_a_driver_there_is_nothing_to_show(
    nvml: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    nvml.broken = {"init"}
    registry = CollectorRegistry()
    watch_gpu(registry, "abc")
    assert generate_latest(registry) == b""
    assert "no metrics of the GPU" in caplog.text
