"""The URL of Redis: whether it can be used, and how it may be shown.

What is shown does not depend on how the URL parses: where a password is not percent-encoded, no
parser says where it ends.
"""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "***"
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster",
           "rediss+cluster")  # fmt: skip
ENCODE = "percent-encode the password: @ is %40, / is %2F, # is %23, ? is %3F, : is %3A, % is %25"
MIN_SECRET = 4
"""Shorter texts occur by chance in every line of a log."""

_HOST = r"(?:[\w.-]+|\[[\w:.%]+\])(?::\d+)?"
_PLACE = re.compile(rf"(?:{_HOST}(?:,{_HOST})*,?)?(?:/[^@?#]*)?")
"""Hosts and a path, and nothing that a piece of a password could be."""
_HARMLESS = re.compile(
    r"(?:db|protocol|ssl_\w+|socket_\w+|timeout)=(?:[\d.]*|true|false|yes|no|none|optional|required)"
    r"|ssl_(?:ca_certs|ca_path|certfile|keyfile)=[\w./~+-]*"
)
_PARAMETER = re.compile(r"(username|password|sentinel_password)=.*", re.DOTALL)


def redact_url(url: str) -> str:
    """Return a URL with all that may be a secret hidden, whether or not it can be parsed."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if not re.fullmatch(r"[a-zA-Z+]*", scheme):
        return HIDDEN
    start = f"{scheme}{separator}"
    account, at, place = rest.rpartition("@")
    where, mark, query = place.partition("?")
    # An @ behind a ? ends a password, or is within a parameter: what follows may be secret too.
    if "?" in account or not _PLACE.fullmatch(where):
        return f"{start}{HIDDEN}"
    shown = "&".join(_shown_parameter(part) for part in query.split("&")) if query else ""
    return f"{start}{HIDDEN if at else ''}{at}{where}{mark}{shown}"


def _shown_parameter(part: str) -> str:
    if _HARMLESS.fullmatch(part):
        return part
    named = _PARAMETER.fullmatch(part)
    return f"{named[1]}={HIDDEN}" if named else HIDDEN


def refusal(url: str) -> str | None:
    """Say why a URL cannot be used, without a piece of it; None where it can."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        return f"is no Redis URL: it begins with {', '.join(f'{name}://' for name in SCHEMES)}"
    try:
        parts = urlsplit(url)
        addresses = hosts(url, 0)
    except ValueError:
        return f"cannot be read; {ENCODE}"
    if parts.fragment or "#" in rest or "@" in f"{parts.path}{parts.query}":
        return f"cannot be read; {ENCODE}"
    path = parts.path.strip("/")
    if scheme.endswith("+sentinel"):
        service, _, path = path.partition("/")
        if not service:
            return "names no service: …/service"
    if "+" in scheme and not addresses:
        return "names no host"
    is_number = scheme == "unix" or path.isdecimal() or not path
    return None if is_number else "names a database that is no number"


def hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    """Return host and port of every server that a URL names; raises ValueError."""
    found = []
    for place in urlsplit(url).netloc.rpartition("@")[2].split(","):
        if not place:
            continue
        parts = urlsplit(f"//{place}")
        port = parts.port
        if parts.hostname is None:
            raise ValueError(place)
        found.append((parts.hostname, default_port if port is None else port))
    return found


def secrets_within(url: str) -> set[str]:
    """Return the texts that must not be shown wherever else they turn up."""
    account, _, place = url.partition("://")[2].rpartition("@")
    query = place.partition("?")[2]
    values = [value for name, value in parse_qsl(query) if "password" in name]
    password = account.partition(":")[2]
    texts = {account, password, unquote(password), *values}
    return {text for text in texts if len(text) >= MIN_SECRET}
