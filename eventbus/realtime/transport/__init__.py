"""
The vendor-neutral part of a live session: connection, sending, reconnecting.

A vendor's model hands in a ``Dialer``, which opens connections, a decoder, and a ``Dialogue``,
which watches the events and makes messages of requests; see ``eventbus.realtime.openai``.
"""

from __future__ import annotations

from ._reconnecting import ReconnectPolicy
from ._renewal import RenewalPolicy

__all__ = ["ReconnectPolicy", "RenewalPolicy"]
