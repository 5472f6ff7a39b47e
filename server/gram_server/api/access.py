"""Who may do what: API keys from a file, and what each path needs. Denies what it does not know.

The file holds digests of keys, never the keys, and is read again when it changes. Pure ASGI, so
that a disconnect stays visible behind it.
"""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.errors import problem_of
from gram_server.api.keys import Key, read_key
from gram_server.api.request_id import request_id_of
from gram_server.errors import ConfigError, KeyInvalid, KeyMissing, ScopeMissing, UserError
from gram_server.logs import also_logged_with
from gram_server.sparse_log import SparseLog

ANY = ""
"""What a path needs that every key opens."""
PUBLIC = ("/livez", "/readyz", "/startupz", "/problems", "/page")
"""Paths, with all below them, that need no key."""
INDEX = "/"
"""The page, which needs no key to be seen; nothing else begins with it alone."""
NEEDED: Mapping[str, str] = {
    "/solve": "solve",
    "/generate": "solve",
    "/jobs": "jobs",
    "/puzzles": ANY,
    "/models": ANY,
    "/openapi.json": ANY,
    "/docs": ANY,
}
"""Scope that a path needs, with all below it; every other path needs ``admin``."""
LOOK_S = 1.0
"""How often the file is looked at."""

logger = logging.getLogger(__name__)


class KeyFile:
    """The keys in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise ``ConfigError`` where no key in it can be used."""
        self._path = path
        self._log = SparseLog(logger)
        self.faults: Sequence[str] = ()
        """What is wrong with entries that were left out."""
        self._keys, self._written_ns = self._read()
        self._looked_s = time.monotonic()

    def find(self, token: str) -> Key | None:
        """Return the key that a caller holds, in a time that does not depend on how near it is."""
        self._look()
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _look(self) -> None:
        """Read the file again if it changed; keys that cannot be read change nothing."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        try:
            if self._path.stat().st_mtime_ns != self._written_ns:
                self._keys, self._written_ns = self._read()
                logger.info("read %d API keys", len(self._keys))
        except (OSError, ConfigError) as error:
            self._log.say(logging.ERROR, "the API keys stay as they were: %s", error)

    def _read(self) -> tuple[Sequence[Key], int]:
        try:
            written_ns = self._path.stat().st_mtime_ns
            entries = list(json.loads(self._path.read_text("utf-8"))["keys"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError("keys", str(self._path), f"cannot be read: {error!r}") from error
        keys, self.faults = _read_entries(entries)
        for fault in self.faults:
            self._log.say(logging.ERROR, "an API key is left out: %s", fault)
        if entries and not keys:
            raise ConfigError("keys", str(self._path), f"has no usable key: {self.faults[0]}")
        return keys, written_ns


class Access:
    """Lets a request pass, or refuses it, before anything else looks at it."""

    def __init__(self, app: ASGIApp, keys: KeyFile | None) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its key."""
        if scope["type"] == "http" and self._keys is not None and not is_public(scope["path"]):
            try:
                key = scope.setdefault("state", {})["key"] = _admit(self._keys, scope)
                also_logged_with(key=key.name)
            except UserError as error:
                headers = {"WWW-Authenticate": "Bearer"} if _is_unknown(error) else {}
                response = problem_of(error).response(request_id_of(scope), headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def key_of(scope: Scope) -> Key | None:
    """Return the key of a request; None where the server has no keys."""
    key: Key | None = scope.get("state", {}).get("key")
    return key


def owner_of(scope: Scope) -> str:
    """Return whose jobs a request is about; without keys all jobs are nobody's and everybody's."""
    key = key_of(scope)
    return "" if key is None else key.name


def client_of(scope: Scope) -> str:
    """Return who shares what is shared in turns: the holder of a key, or else an address."""
    host, _ = scope.get("client") or ("", 0)
    return owner_of(scope) or str(host)


def is_admin(scope: Scope) -> bool:
    """Whether a request may see everybody's jobs."""
    key = key_of(scope)
    return key is not None and "admin" in key.scopes


def is_public(path: str) -> bool:
    """Whether a path needs no key."""
    return path == INDEX or any(
        path == public or path.startswith(f"{public}/") for public in PUBLIC
    )


def scope_for(path: str) -> str:
    """Return the scope that a path needs."""
    return NEEDED.get("/" + path.lstrip("/").partition("/")[0], "admin")


def _admit(keys: KeyFile, scope: Scope) -> Key:
    token = _token(Headers(scope=scope))
    if not token:
        raise KeyMissing("send the key as Authorization: Bearer KEY")
    key = keys.find(token)
    if key is None:
        raise KeyInvalid("the key is not known")
    if key.expires_s is not None and key.expires_s <= time.time():
        raise KeyInvalid("the key has expired")
    needed = scope_for(scope["path"])
    if needed != ANY and needed not in key.scopes and "admin" not in key.scopes:
        raise ScopeMissing(f"the key has no scope {needed}")
    return key


def _token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _is_unknown(error: UserError) -> bool:
    return isinstance(error, KeyMissing | KeyInvalid)


def _read_entries(entries: Sequence[object]) -> tuple[list[Key], list[str]]:
    """Return the keys that can be used, and what is wrong with the others."""
    keys, faults = [], []
    for number, entry in enumerate(entries):
        try:
            keys.append(read_key(entry))
        except ValueError as error:
            name = entry.get("name") if isinstance(entry, Mapping) else None
            faults.append(f"keys[{number}], {str(name)[:40]!a}: {error}")
    return keys, faults
