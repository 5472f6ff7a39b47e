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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gram_server.api.errors import problem_of
from gram_server.api.request_id import request_id_of
from gram_server.errors import ConfigError, KeyInvalid, KeyMissing, ScopeMissing, UserError

SCOPES = ("solve", "jobs", "admin")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, as the server knows it."""

    name: str
    """Whose jobs are whose; two keys may share it, while one replaces the other."""
    sha256: str
    scopes: frozenset[str]
    trajectories_per_s: float | None = None
    """What the owner may ask for on average; None for no limit."""
    expires_s: float | None = None


class KeyFile:
    """The keys in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise ``ConfigError`` where it cannot be used."""
        self._path = path
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
            logger.error("the API keys stay as they were: %s", error)

    def _read(self) -> tuple[Sequence[Key], int]:
        try:
            written_ns = self._path.stat().st_mtime_ns
            entries = json.loads(self._path.read_text("utf-8"))["keys"]
            return [_key(entry) for entry in entries], written_ns
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError("keys", str(self._path), f"cannot be read: {error!r}") from error


class Access:
    """Lets a request pass, or refuses it, before anything else looks at it."""

    def __init__(self, app: ASGIApp, keys: KeyFile | None) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its key."""
        if scope["type"] == "http" and self._keys is not None and not is_public(scope["path"]):
            try:
                scope.setdefault("state", {})["key"] = _admit(self._keys, scope)
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


def _key(entry: Mapping[str, object]) -> Key:
    unknown = set(entry) - {"name", "sha256", "scopes", "trajectories_per_s", "expires"}
    scopes = frozenset(str(scope) for scope in _list(entry["scopes"]))
    digest, name = str(entry["sha256"]).lower(), str(entry["name"])
    if unknown or not scopes or not scopes <= set(SCOPES):
        raise ValueError(f"key {name!r}: unknown fields or scopes")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f"key {name!r}: sha256 is no digest")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"key {name!r}: a name has letters, digits, - and _")
    rate, expires = entry.get("trajectories_per_s"), entry.get("expires")
    return Key(
        name=name,
        sha256=digest,
        scopes=scopes,
        trajectories_per_s=None if rate is None else float(str(rate)),
        expires_s=None if expires is None else datetime.fromisoformat(str(expires)).timestamp(),
    )


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError("scopes is no list")
    return value
