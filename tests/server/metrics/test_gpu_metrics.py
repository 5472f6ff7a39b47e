from prometheus_client import CollectorRegistry, generate_latest

from gram_server.metrics.gpu import GpuCollector, GpuReading


def test_a_gpu_is_read_at_every_scrape() -> None:
    readings = iter([GpuReading(1, 4, 0.5), GpuReading(3, 4, 0.75)])
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: next(readings)))
    generate_latest(registry)
    text = generate_latest(registry).decode()
    assert "gram_gpu_memory_used_bytes 3.0" in text
    assert "gram_gpu_memory_total_bytes 4.0" in text
    assert "gram_gpu_utilisation_ratio 0.75" in text
