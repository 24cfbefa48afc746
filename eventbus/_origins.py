"""
The origins of web pages and the names of hosts, as options and servers compare them.

The command line checks its options with it, so it imports nothing that `--help` would wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def read_origins(given: str | Iterable[str]) -> frozenset[str]:
    """
    Return the origins in *given*, one or several, as browsers write them.

    Raises:
        ValueError: One is not an origin.
    """
    origins = set()
    for text in (given,) if isinstance(given, str) else given:
        origin = normalized_origin(text)
        if origin is None:
            msg = (
                f"{text!r} is not an origin: write scheme and host, and the port if it isn't the "
                f"scheme's, like http://localhost:3000."
            )
            raise ValueError(msg)
        origins.add(origin)
    return frozenset(origins)


def read_hosts(given: str | Iterable[str]) -> frozenset[str]:
    """Return the host names in *given*, one or several, in lower case."""
    return frozenset(name.lower() for name in ((given,) if isinstance(given, str) else given))


def normalized_origin(origin: str) -> str | None:
    """Return *origin* in lower case and without its scheme's own port; None if it isn't one."""
    if origin == "null":  # of pages from a file, for example
        return origin
    try:
        parts = urlsplit(origin.strip())
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.path.strip("/"):
        return None
    if parts.query or parts.fragment or parts.username is not None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"
