"""One entry of the file of API keys: what the server reads, and whoever makes one checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

SCOPES = ("solve", "jobs", "admin")
FIELDS = ("name", "sha256", "scopes", "trajectories_per_s", "expires")
MAX_NAME_CHARS = 100


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


def read_key(entry: object) -> Key:
    """Return the key of an entry; raise ``ValueError`` where it cannot be used."""
    if not isinstance(entry, Mapping):
        raise ValueError("an entry is a JSON object")
    if unknown := [str(field) for field in entry if field not in FIELDS]:
        raise ValueError(f"there is no field {unknown[0][:40]!r}: there are {', '.join(FIELDS)}")
    rate, expires = entry.get("trajectories_per_s"), entry.get("expires")
    return Key(
        name=_name(entry.get("name")),
        sha256=_digest(entry.get("sha256")),
        scopes=_scopes(entry.get("scopes")),
        trajectories_per_s=None if rate is None else _rate(rate),
        expires_s=None if expires is None else _moment(expires),
    )


def _name(value: object) -> str:
    is_plain = isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum()
    if not isinstance(value, str) or not is_plain or len(value) > MAX_NAME_CHARS:
        raise ValueError(f"name has 1 to {MAX_NAME_CHARS} letters, digits, - and _")
    return value


def _digest(value: object) -> str:
    text = str(value).lower()
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("sha256 has 64 hexadecimal digits")
    return text


def _scopes(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value or any(scope not in SCOPES for scope in value):
        raise ValueError(f"scopes is a list of {', '.join(SCOPES)}")
    return frozenset(value)


def _rate(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(str(value)) < math.inf:
        raise ValueError("trajectories_per_s is a number above 0; without it there is no limit")
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
