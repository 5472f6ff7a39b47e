"""The HTTP interface: reads requests, speaks to the job store, and writes answers and problems."""

from gram_server.api.access import Access, KeyFile
from gram_server.api.catalog import catalog_router
from gram_server.api.context import Context, Lifecycle
from gram_server.api.errors import add_error_handlers
from gram_server.api.fleet import Fleet
from gram_server.api.generate import generate_router
from gram_server.api.head import HeadRequests
from gram_server.api.health import MetricsPort, health_router
from gram_server.api.jobs import jobs_router
from gram_server.api.observation import Observation
from gram_server.api.openapi import document_builder
from gram_server.api.origin import OriginCheck
from gram_server.api.page import page_router
from gram_server.api.request_id import RequestId
from gram_server.api.root_path import RootPath
from gram_server.api.solve import solve_router
from gram_server.api.stopping import Stopping

__all__ = [
    "Access",
    "Context",
    "Fleet",
    "HeadRequests",
    "KeyFile",
    "Lifecycle",
    "MetricsPort",
    "Observation",
    "OriginCheck",
    "RequestId",
    "RootPath",
    "Stopping",
    "add_error_handlers",
    "catalog_router",
    "document_builder",
    "generate_router",
    "health_router",
    "jobs_router",
    "page_router",
    "solve_router",
]
