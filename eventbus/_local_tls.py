"""
TLS for a server on this machine: a certificate that is made at its start, and forgotten at its end.

Clients trust it by the file of its authority: ``SSL_CERT_FILE`` for Python and Go,
``NODE_EXTRA_CA_CERTS`` for Node. The authority's key is in memory only, so that nobody can make
another certificate that those clients would trust.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

try:
    import trustme
except ModuleNotFoundError as exc:
    if exc.name != "trustme":  # trustme is there, something it needs isn't: not ours to explain
        raise
    msg = (
        "A certificate for TLS needs the trustme package: pip install 'eventbus[tls]', "
        "or pip install '.[tls]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="trustme") from exc

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


class LocalCertificate:
    """
    A server's certificate, and the file of the authority that has signed it.

    Args:
        names: The names and addresses of the server, beside those of loopback.

    Attributes:
        context: The server's side of TLS.
        ca_file: The authority's certificate in PEM; it is removed by `close`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        authority = trustme.CA(organization_name="eventbus")
        certificate = authority.issue_cert(*dict.fromkeys([*_LOCAL_NAMES, *filter(None, names)]))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        with tempfile.NamedTemporaryFile(
            prefix="eventbus-ca-", suffix=".pem", delete=False
        ) as file:
            file.write(authority.cert_pem.bytes())
        self.ca_file = Path(file.name)

    def close(self) -> None:
        """Remove the file; doing it again does no harm."""
        self.ca_file.unlink(missing_ok=True)
