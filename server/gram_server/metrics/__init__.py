"""What the server counts and measures, in the words of Prometheus."""

from gram_server.metrics.buckets import LATENCY_BUCKETS_S
from gram_server.metrics.service import ClassGauges, Outcome, ServiceGauges, ServiceMetrics

__all__ = ["LATENCY_BUCKETS_S", "ClassGauges", "Outcome", "ServiceGauges", "ServiceMetrics"]
