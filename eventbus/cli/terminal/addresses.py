"""
The addresses of a command that serves clients, as a line of JSON or of text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from .escaping import printable

ADDRESS_SCHEMA: Final = "eventbus.address/1"


def address_json(url: str, base_url: str, **more: str) -> str:
    """
    Return ``{"schema": …, "url": …, "base_url": …}``, in one line.

    Args:
        url: For WebSockets.
        base_url: For the SDKs of OpenAI.
        more: Further fields.
    """
    return json.dumps({"schema": ADDRESS_SCHEMA, **more, "url": url, "base_url": base_url})


def trust_line(ca_file: Path) -> str:
    """Return the line that tells how clients trust the certificate of a server."""
    file = printable(str(ca_file))
    return f"Trust its certificate with SSL_CERT_FILE={file}, or NODE_EXTRA_CA_CERTS={file}"
