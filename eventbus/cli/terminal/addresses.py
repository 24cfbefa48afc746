"""
Where clients find a command that serves them, as a line of JSON.
"""

from __future__ import annotations

import json
from typing import Final

__all__ = ["ADDRESS_SCHEMA", "address_json"]

ADDRESS_SCHEMA: Final = "eventbus.address/1"


def address_json(url: str, base_url: str, **more: str) -> str:
    """
    Return ``{"schema": …, "url": …, "base_url": …}``, in one line.

    Args:
        url: Where a WebSocket connects.
        base_url: What the SDKs of OpenAI take.
        more: What else is told.
    """
    return json.dumps({"schema": ADDRESS_SCHEMA, **more, "url": url, "base_url": base_url})
