"""
Requests that a server for this machine refuses: those of web pages, and those for another name.

Loopback keeps other machines out, and not the web pages that a browser on this machine shows: any
page may open a WebSocket to 127.0.0.1. Two headers, which a browser sets and a page can't, tell:

* ``Origin`` (RFC 6454, 7) names the page. A request that has one is refused, unless its origin
  was allowed. Clients that are no browsers send none.
* ``Host`` (RFC 9110, 7.2) is the name that was connected to. With DNS rebinding, a page's own
  name is made to mean 127.0.0.1, and the page's requests are of the same origin then: a name that
  isn't this server's is refused. The port isn't looked at, as it may have been forwarded.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlsplit

import attrs

from ._origins import normalized_origin

_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # compared, not bound
_SHOWN_CHARACTERS: Final = 100


@attrs.frozen
class RequestRefusal:
    """
    The answer to a request that is refused.

    Attributes:
        status: Of the HTTP response.
        message: The reason, and the remedy.
    """

    status: int
    message: str


@attrs.frozen
class RequestGuard:
    """
    Decides by its headers whether a request is refused.

    Args:
        host: The address that the server listens at, as it was given.
        origins: The origins whose pages may connect, see `read_origins`.
        hosts: Further names by which the server is known.
    """

    host: str
    origins: Collection[str] = ()
    hosts: Collection[str] = ()

    def refusal(
        self, headers: Iterable[tuple[str, str]], local_address: str | None = None
    ) -> RequestRefusal | None:
        """
        Return the answer to a request that is refused, or None.

        Args:
            headers: The request's.
            local_address: The address of this machine that the connection came in at.
        """
        names = {"host", "origin"}
        found = [(name.lower(), value) for name, value in headers if name.lower() in names]
        for name, value in found:
            if name == "host" and not self._is_own(value, local_address):
                msg = (
                    f"This server isn't known as {_shown(value)}. Connect to localhost or to the "
                    f"address that it listens at, or start it with --allow-host and that name."
                )
                return RequestRefusal(403, msg)
            if name == "origin" and normalized_origin(value) not in self.origins:
                msg = (
                    f"Web pages of {_shown(value)} may not connect. "
                    f"Start the server with --allow-origin and that origin to let them."
                )
                return RequestRefusal(403, msg)
        if sum(name == "host" for name, _ in found) != 1:  # RFC 9112, 3.2
            return RequestRefusal(400, "A request has one Host header.")
        return None

    def _is_own(self, header: str, local_address: str | None) -> bool:
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in {"localhost", self.host.lower(), *self.hosts}:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address can't be made to mean another one, so each that leads here is as good.
        return address.is_loopback or self.host in _ANY_ADDRESS or name == local_address


def _shown(value: str) -> str:
    text = value if value.isascii() and value.isprintable() else ascii(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
