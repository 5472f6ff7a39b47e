"""Refuses what a browser sends for a page of another site, or to a name that is not the server's.

A server on a loopback address without keys trusts whoever reaches it, and that is every page that
is open on the machine: a page may post to any address, and read the answers of one whose name it
made resolve to this machine (DNS rebinding). Programs send neither an origin nor a strange name.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.errors import problem_of
from gram_server.api.request_id import request_id_of
from gram_server.errors import OriginRefused
from gram_server.settings import HttpConfig

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; no page of another origin can read what they return."""
MAX_HOST_CHARS = 255


class OriginCheck:
    """Lets pass what a program sends, and what a page of this server does."""

    def __init__(self, app: ASGIApp, config: HttpConfig) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in config.allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in config.allowed_origins)
        self._is_open = config.keys is None and is_local(config.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except OriginRefused as error:
                response = problem_of(error).response(request_id_of(scope))
                await response(scope, receive, send)
                return
            # The framework parses cookies for every route, and no route reads any.
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        is_named = bool(self._hosts) or self._is_for_all_on_the_machine(scope)
        if not is_named and not self._origins:
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if is_named and not self._are_our_names(hosts):
            raise OriginRefused(
                "the server does not go by this name: see allowed_hosts", field="Host"
            )
        host = hosts[0].lower() if hosts else ""
        if scope["method"] not in READING and not self._may_send(headers, host):
            raise OriginRefused(
                "pages of other origins may send nothing: see allowed_origins", field="Origin"
            )

    def _is_for_all_on_the_machine(self, scope: Scope) -> bool:
        server = scope.get("server")
        return self._is_open and server is not None and is_local(server[0])

    def _are_our_names(self, hosts: Sequence[str]) -> bool:
        """Whether there is one name, and it is ours; the probes of some balancers send none."""
        if not any(hosts):
            return True
        if len(hosts) > 1 or len(hosts[0]) > MAX_HOST_CHARS:
            return False
        name = name_of(hosts[0])
        return bool(self._hosts & {"*", name}) or is_safe(name)

    def _may_send(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin", "").lower()
        if self._origins & {"*", origin}:
            return True
        # What a browser says itself holds behind a proxy that gives us another name, too.
        if site := headers.get("sec-fetch-site"):
            return site in ("same-origin", "none")
        return not origin or origin.partition("://")[2] == host


def name_of(host: str) -> str:
    """Return the name or address in a ``Host`` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def is_safe(name: str) -> bool:
    """Whether no stranger can make a name resolve to us: an address, or one without a dot."""
    is_local_name = name.endswith(".localhost") or "." not in name
    return bool(name) and (is_local_name or _address(name) is not None)


@lru_cache(maxsize=64)
def is_local(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
