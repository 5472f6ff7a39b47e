"""Prometheus metrics of the API process and of workers."""

from gram_server.metrics.service import Outcome, ServiceMetrics
from gram_server.metrics.state import ServiceState

__all__ = ["Outcome", "ServiceMetrics", "ServiceState"]
