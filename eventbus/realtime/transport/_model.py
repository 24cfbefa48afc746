"""
`ConnectedModel`: the part of a model that is the same for every vendor.
"""

from __future__ import annotations

from ...events import RealtimeModelAudioInterruptedEvent
from ...exceptions import ModelNotConnected, RealtimeConnectionError
from ..memory import ConversationMemory
from ..model import RealtimeModel, RealtimeModelListener
from ._connection import SessionConnection
from ._listeners import Listeners
from ._roles import Timeouts


class ConnectedModel(RealtimeModel):
    """
    A model with listeners, a memory, and one connection at a time.

    A vendor's model derives from it, makes a `SessionConnection` in `connect`, and sends on
    `_open_connection`.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._memory: ConversationMemory | None = None
        self._listeners = Listeners()
        self._connection: SessionConnection | None = None

    def add_listener(self, listener: RealtimeModelListener) -> None:
        """Tell *listener* the events from the next one on; adding it again changes nothing."""
        self._listeners.add(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        """Tell *listener* no more events; one that isn't there is fine."""
        self._listeners.remove(listener)

    def use_memory(self, memory: ConversationMemory | None) -> None:
        """Tell each new session of the service the conversation that *memory* recalls."""
        self._memory = memory

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent) -> bool:
        """Return whether the interruption that *event* reports, the last one, cut off audio."""
        return self._connection is not None and self._connection.has_cut_off(event)

    async def cut_off(self) -> None:
        """Cut off the speech that was not heard so far, and tell the listeners the place."""
        if self._connection is not None:
            await self._connection.cut_off()

    def _check_not_connected(self) -> None:
        """Raise RealtimeConnectionError if there is a connection."""
        if self._connection is not None and not self._connection.is_over:
            msg = "The model is connected already; close() it first, or use another one."
            raise RealtimeConnectionError(msg)

    def _open_connection(self) -> SessionConnection:
        """Return the connection to send on; raise ModelNotConnected if there is none."""
        if self._connection is None or not self._connection.is_open:
            msg = "The model is not connected; await model.connect(...) first."
            raise ModelNotConnected(msg)
        return self._connection

    def __repr__(self) -> str:
        if self._connection is None:
            return f"<{type(self).__qualname__}, not connected>"
        return f"<{type(self).__qualname__} {self._connection.shown}>"
