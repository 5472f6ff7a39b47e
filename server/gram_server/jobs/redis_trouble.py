"""Explains failures of Redis to its operator, without quoting data."""

from typing import Literal, NamedTuple

from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

LOST_CONNECTION = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)
REFUSED = ("ERR", "ResponseError", "WRONGTYPE", "DataError")
"""Kinds of errors that the same call gets every time."""

_QUOTED = ", with args beginning with"
"""After it Redis quotes the command, which may hold a password or a puzzle."""
_BY_CLASS = {
    "BusyLoadingError": "LOADING",
    "NoPermissionError": "NOPERM",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterNotFoundError": "NOMASTER",
    "MaxConnectionsError": "MAXCLIENTS",
}
"""Kinds of the errors whose first word redis-py strips."""
_BY_WORDS = {
    "max number of clients": "MAXCLIENTS",
    "ACL failure in script": "NOPERM",
    "The user executing the script": "NOPERM",
    "can't run this command": "NOPERM",
    "Authentication required": "NOAUTH",
}
_CAUSES = {
    "WRONGPASS": "Redis does not accept the password",
    "NOAUTH": "Redis wants a password, and none was given",
    "NOPERM": "Redis does not let this user do that",
    "READONLY": "this Redis is a replica, which takes no writes",
    "OOM": "the memory of Redis is full",
    "LOADING": "Redis is loading its data",
    "MASTERDOWN": "this Redis is a replica without its master",
    "NOMASTER": "the sentinels name no master",
    "CLUSTERDOWN": "the cluster is down",
    "MISCONF": "Redis cannot save its data",
    "NOREPLICAS": "Redis has too few replicas to take writes",
    "MAXCLIENTS": "Redis has as many clients as it lets in",
    "BUSY": "Redis is busy with a script",
}


class Trouble(NamedTuple):
    """Why a call failed."""

    text: str
    """For callers."""
    line: str
    """For the log, with details of unknown errors."""
    kind: Literal["unreachable", "refused"]
    is_lost: bool
    """Whether Redis could not be reached, or refused the connection."""
    is_lasting: bool = False


def trouble_of(error: Exception) -> Trouble:
    kind = kind_of(error)
    is_lost = isinstance(error, LOST_CONNECTION)
    if kind in _CAUSES:
        text = f"{_CAUSES[kind]} ({kind})"
        return Trouble(text, text, "refused", is_lost)
    if is_lost:
        text = "Redis cannot be reached"
        return Trouble(text, f"{text}: {str(error) or repr(error)}", "unreachable", is_lost)
    is_lasting = kind in REFUSED
    text = f"Redis {'refuses this' if is_lasting else 'takes nothing now'}: {kind}"
    return Trouble(
        text, f"{text}: {str(error).partition(_QUOTED)[0]}", "refused", is_lost, is_lasting
    )


def kind_of(error: Exception) -> str:
    """Return the first word of an error, such as OOM or READONLY."""
    text = str(error)
    if known := _BY_CLASS.get(type(error).__name__):
        return known
    for words, kind in _BY_WORDS.items():
        if words in text:
            return kind
    if isinstance(error, AuthenticationError):
        return "WRONGPASS"
    word = text.partition(" ")[0]
    return word if isinstance(error, RedisError) and word.isupper() else type(error).__name__
