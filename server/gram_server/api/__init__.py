"""The HTTP interface to the job store."""

from gram_server.api.auth import AuthMiddleware, OriginCheck
from gram_server.api.catalog import catalog_router
from gram_server.api.errors import add_error_handlers
from gram_server.api.health import MetricsPort, health_router
from gram_server.api.jobs import jobs_router
from gram_server.api.keys import KeyFile
from gram_server.api.middleware import (
    HeadRequests,
    RequestId,
    RootPath,
    Stopping,
    TracingMiddleware,
)
from gram_server.api.openapi import document_builder
from gram_server.api.page import page_router
from gram_server.api.solve import generate_router, solve_router
from gram_server.api.state import AppState, Lifecycle
from gram_server.api.workers import WorkerRegistry

__all__ = [
    "AppState",
    "AuthMiddleware",
    "HeadRequests",
    "KeyFile",
    "Lifecycle",
    "MetricsPort",
    "OriginCheck",
    "RequestId",
    "RootPath",
    "Stopping",
    "TracingMiddleware",
    "WorkerRegistry",
    "add_error_handlers",
    "catalog_router",
    "document_builder",
    "generate_router",
    "health_router",
    "jobs_router",
    "page_router",
    "solve_router",
]
