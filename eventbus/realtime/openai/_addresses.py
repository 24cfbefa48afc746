"""
Where a session is: the URL that was given, as the service's client wants it.

openai-agents takes the whole address of the WebSocket, ``wss://host/v1/realtime?model=…``; the
openai SDK takes the base URL, and adds ``/realtime`` and the query itself. Both are fine here.
"""

from __future__ import annotations

import urllib.parse
from typing import Final

import attrs

from ...exceptions import RealtimeConnectionError

__all__ = ["Address", "without_secrets"]

_SCHEMES: Final = frozenset({"ws", "wss", "http", "https"})
_PATH: Final = "/realtime"

# What in a URL's query says which model is meant: OpenAI's word, Azure's, that of a call.
_MODEL_NAMES: Final = frozenset({"model", "deployment", "call_id"})


@attrs.frozen
class Address:
    """
    A service's address.

    Attributes:
        base_url: Without ``/realtime`` at the end of its path; it keeps its query.
        shown: For people: without the query, which may have a key in it.
        names_model: Whether the query says which model is meant.
    """

    base_url: str = attrs.field(repr=False)
    shown: str
    names_model: bool

    @classmethod
    def of(cls, url: str) -> Address:
        """
        Return the address that *url* is.

        Raises:
            RealtimeConnectionError: It is none.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            host, _ = parts.hostname, parts.port  # the port is checked when it is read
        except ValueError:
            host, parts = None, None
        if parts is None or not host or parts.scheme not in _SCHEMES:
            msg = (
                f"{without_secrets(url)!r} is no address of a realtime service; it looks like "
                f"wss://api.openai.com/v1/realtime, or like https://api.openai.com/v1."
            )
            raise RealtimeConnectionError(msg)
        path = parts.path.rstrip("/").removesuffix(_PATH)
        base = parts._replace(path=path, fragment="")
        query = urllib.parse.parse_qs(parts.query)
        return cls(base.geturl(), without_secrets(url), bool(_MODEL_NAMES & query.keys()))


def without_secrets(url: str) -> str:
    """Return *url* without what may be secret in it: the user, the password and the query."""
    front = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = front.partition("://")
    if not separator:  # no address, and so nobody knows what is what in it
        return front.rpartition("@")[2]
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
