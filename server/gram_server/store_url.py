"""Validates and redacts Redis URLs.

Redaction relies on no parser: none finds the end of a password that is not percent-encoded.
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
"""Hosts and a path that cannot be a piece of a password."""
_HARMLESS = re.compile(
    r"(?:db|protocol|ssl_\w+|socket_\w+|timeout)=(?:[\d.]*|true|false|yes|no|none|optional|required)"
    r"|ssl_(?:ca_certs|ca_path|certfile|keyfile)=[\w./~+-]*"
)
_PARAMETER = re.compile(r"(username|password|sentinel_password)=.*", re.DOTALL)


def redact_url(url: str) -> str:
    """Return a URL with every possible secret hidden, even if it cannot be parsed."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if not re.fullmatch(r"[a-zA-Z+]*", scheme):
        return HIDDEN
    start = f"{scheme}{separator}"
    account, at, place = rest.rpartition("@")
    where, mark, query = place.partition("?")
    # An @ after a ? may end a password or be in a parameter: the rest may be secret.
    if "?" in account or not _PLACE.fullmatch(where):
        return f"{start}{HIDDEN}"
    shown = []
    for part in query.split("&") if query else ():
        named = _PARAMETER.fullmatch(part)
        hidden = f"{named[1]}={HIDDEN}" if named else HIDDEN
        shown.append(part if _HARMLESS.fullmatch(part) else hidden)
    return f"{start}{HIDDEN if at else ''}{at}{where}{mark}{'&'.join(shown)}"


def refusal(url: str) -> str | None:
    """Return why a URL cannot be used, without quoting it; None if it can."""
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
    """Return the secrets in a URL, to hide them elsewhere."""
    account, _, place = url.partition("://")[2].rpartition("@")
    query = place.partition("?")[2]
    values = [value for name, value in parse_qsl(query) if "password" in name]
    password = account.partition(":")[2]
    texts = {account, password, unquote(password), *values}
    return {text for text in texts if len(text) >= MIN_SECRET}
