"""Opens the sockets of every listener, and formats addresses."""

import errno
import ipaddress
import socket
from typing import Any

from gram_server.errors import ConfigError

Address = tuple[Any, ...]
Resolved = tuple[int, Address]

ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""The system lacks the address family of one of a name's addresses."""


def bind(host: str, port: int, *, setting: str) -> list[socket.socket]:
    """Return a socket, bound and not yet listening, for every address of a host.

    Args:
        host: a name or an address; ``::`` is every address of both families where there are two.
        port: 0 takes a free one, the same for every address.
        setting: name of the setting in the error.
    """
    bound: list[socket.socket] = []
    try:
        for family, address in _resolve(host, port):
            taken = bound[0].getsockname()[1] if bound else port
            try:
                bound.append(_bind(family, (address[0], taken, *address[2:])))
            except OSError as error:
                if not bound or error.errno not in ABSENT:
                    raise
    except (OSError, UnicodeError) as error:
        for each in bound:
            each.close()
        where, reason = authority(host, port), getattr(error, "strerror", None) or str(error)
        raise ConfigError(setting, port, f"cannot listen on {where}: {reason}") from error
    return bound


def authority(host: str, port: int) -> str:
    """Return ``host:port`` for a URL, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_open_to_others(host: str) -> bool:
    try:
        addresses = [str(address[0]) for _, address in _resolve(host, 0)]
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(each).is_loopback for each in addresses)


def _resolve(host: str, port: int) -> list[Resolved]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, tuple(address)) for family, *_, address in found))


def _bind(family: int, address: Address) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            is_dual = address[0] == "::" and socket.has_dualstack_ipv6()
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
