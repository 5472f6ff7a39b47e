"""What the server counts and measures, in the words of Prometheus."""

from gram_server.metrics.buckets import LATENCY_BUCKETS_S
from gram_server.metrics.jobs import ACCEPTED, JobCount, JobCounts
from gram_server.metrics.service import ClassGauges, Outcome, ServiceGauges, ServiceMetrics

__all__ = [
    "ACCEPTED",
    "LATENCY_BUCKETS_S",
    "ClassGauges",
    "JobCount",
    "JobCounts",
    "Outcome",
    "ServiceGauges",
    "ServiceMetrics",
]
