"""Reads and validates the file of API keys.

It holds digests of keys, never the keys, and is read again when it changes.
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

from gram_server.errors import ConfigError
from gram_server.logs import SparseLog

SCOPES = ("solve", "jobs", "admin")
FIELDS = ("name", "sha256", "scopes", "trajectories_per_s", "expires")
MAX_NAME_CHARS = 100
MIN_RATE, MAX_RATE = 1e-6, 1e9
"""Bounds of a key's trajectories per second, for the arithmetic of every store."""
CHECK_S = 1.0
"""Least seconds between checks of the file."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, as the server knows it."""

    name: str
    """Owner of jobs; two keys may share it while one replaces the other."""
    sha256: str
    scopes: frozenset[str]
    trajectories_per_s: float | None = None
    """Rate limit of the owner, on average; None for no limit."""
    expires_s: float | None = None


class KeyFile:
    """The keys in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise ``ConfigError`` where no key in it can be used."""
        self._path = path
        self._log = SparseLog(logger)
        self.faults: Sequence[str] = ()
        """What is wrong with entries that were left out."""
        self._keys, self._written_ns = self._read()
        self._checked_s = time.monotonic()

    def find(self, token: str) -> Key | None:
        """Return the key of a token, compared in constant time.

        Reads the file again if it changed; an unreadable file changes nothing.
        """
        now_s = time.monotonic()
        if now_s - self._checked_s >= CHECK_S:
            self._checked_s = now_s
            try:
                if self._path.stat().st_mtime_ns != self._written_ns:
                    self._keys, self._written_ns = self._read()
                    logger.info("read %d API keys", len(self._keys))
            except (OSError, ConfigError) as error:
                self._log.say(logging.ERROR, "the API keys stay as they were: %s", error)
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _read(self) -> tuple[Sequence[Key], int]:
        try:
            written_ns = self._path.stat().st_mtime_ns
            entries = list(json.loads(self._path.read_text("utf-8"))["keys"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError("keys", str(self._path), f"cannot be read: {error!r}") from error
        keys, faults = [], []
        for number, entry in enumerate(entries):
            try:
                keys.append(read_key(entry))
            except ValueError as error:
                name = entry.get("name") if isinstance(entry, Mapping) else None
                faults.append(f"keys[{number}], {str(name)[:40]!a}: {error}")
        self.faults = faults
        for fault in self.faults:
            self._log.say(logging.ERROR, "an API key is left out: %s", fault)
        if entries and not keys:
            raise ConfigError("keys", str(self._path), f"has no usable key: {self.faults[0]}")
        return keys, written_ns


def read_key(entry: object) -> Key:
    """Return the key of an entry; raise ``ValueError`` where it cannot be used."""
    if not isinstance(entry, Mapping):
        raise ValueError("an entry is a JSON object")
    if unknown := [str(field) for field in entry if field not in FIELDS]:
        raise ValueError(f"there is no field {unknown[0][:40]!r}: there are {', '.join(FIELDS)}")
    name, digest = _name(entry.get("name")), str(entry.get("sha256")).lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError("sha256 has 64 hexadecimal digits")
    scopes = entry.get("scopes")
    if not isinstance(scopes, list) or not scopes or any(scope not in SCOPES for scope in scopes):
        raise ValueError(f"scopes is a list of {', '.join(SCOPES)}")
    rate, expires = entry.get("trajectories_per_s"), entry.get("expires")
    return Key(
        name=name,
        sha256=digest,
        scopes=frozenset(scopes),
        trajectories_per_s=None if rate is None else _rate(rate),
        expires_s=None if expires is None else _moment(expires),
    )


def _name(value: object) -> str:
    is_plain = isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum()
    if not isinstance(value, str) or not is_plain or len(value) > MAX_NAME_CHARS:
        raise ValueError(f"name has 1 to {MAX_NAME_CHARS} letters, digits, - and _")
    return value


def _rate(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not MIN_RATE <= float(str(value)) <= MAX_RATE:
        raise ValueError(
            f"trajectories_per_s is a number from {MIN_RATE:g} to {MAX_RATE:g}; without it there "
            "is no limit"
        )
    return float(str(value))


def _moment(value: object) -> float:
    wanted = "expires is a moment with its zone, such as 2030-01-31T00:00:00+00:00"
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(wanted) from error
    if moment.tzinfo is None:
        raise ValueError(wanted)
    return moment.timestamp()
