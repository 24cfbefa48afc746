"""
The part of a live session that is the same for every vendor: connection, sending, reconnecting.
"""

from __future__ import annotations

from ._reconnecting import ReconnectPolicy

__all__ = ["ReconnectPolicy"]
