"""
The options of the commands that listen: the address, TLS, and the clients that they accept.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from .exits import BadInput


def tls_of(certificate: tuple[Path, Path] | None, *, is_tls: bool) -> bool | ssl.SSLContext:
    """
    Return the *tls* of a server for these options.

    Raises:
        BadInput: The certificate can't be used.
    """
    if not certificate:
        return is_tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(*certificate, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl's own is an OSError
        names = " and ".join(map(str, certificate))
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        msg = f"{names} can't be used as a certificate and its key: {reason}."
        raise BadInput(msg) from exc
    return context


def _no_password() -> str:
    msg = "the key is encrypted; give one that isn't"
    raise ValueError(msg)
