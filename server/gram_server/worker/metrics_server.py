"""A worker's metrics over HTTP, at every address of a host; knows no engine."""

import logging
import threading
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from gram_server.listening import authority, bind

logger = logging.getLogger(__name__)


class _SilentHandler(WSGIRequestHandler):
    """Does not log requests."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def serve_metrics(registry: CollectorRegistry, *, host: str, port: int) -> None:
    """Answer scrapes in threads of their own, for as long as the process lives."""
    for bound in bind(host, port, setting="worker_metrics_port"):
        address = bound.getsockname()[:2]
        server = ThreadingWSGIServer(address, _SilentHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = bound
        # ``server_bind`` would set these after a look-up in DNS.
        server.server_name, server.server_port = address
        server.setup_environ()
        server.set_app(make_wsgi_app(registry))
        server.server_activate()
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        logger.info("metrics on http://%s/metrics", authority(*address))
