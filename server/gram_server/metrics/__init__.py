"""Prometheus metrics of the API process and of workers."""

from gram_server.metrics.service import Outcome, ServiceMetrics, ServiceState

__all__ = ["Outcome", "ServiceMetrics", "ServiceState"]
