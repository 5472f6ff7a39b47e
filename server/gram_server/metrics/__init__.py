"""What the server counts and measures, in the words of Prometheus."""

from gram_server.metrics.service import Outcome, ServiceMetrics
from gram_server.metrics.state import ServiceState

__all__ = ["Outcome", "ServiceMetrics", "ServiceState"]
