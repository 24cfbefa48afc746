"""
Knows when a live session is over, though nobody hangs up.

A file of speech ends, a conversation doesn't: the answer to the last question is still to come.
So a session is taken to be over when nobody speaks, no response and no tool is under way, all
speech has been heard, and nothing has happened for two seconds.
"""

from __future__ import annotations

import math
from typing import Final

import anyio

from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ..exceptions import RealtimeConnectionError
from ..realtime.events import RealtimeToolEnd, RealtimeToolStart

__all__ = ["Activity"]

_SETTLED: Final = 2.0
"""Seconds without an event, after which nothing more is expected."""


class Activity:
    """
    What is under way in one session, as its events tell, in the event loop's time.

    Attributes:
        was_connected: Whether there has been a connection at all.
        has_ended: Whether the connection has ended for good.
        failure: Why the connection has ended, if that was no good end.
    """

    def __init__(self) -> None:
        self._since = -math.inf
        self._user_speaks = False
        self._model_responds = False
        self._tools = 0
        self.was_connected = False
        self.has_ended = False
        self.failure: RealtimeConnectionError | None = None

    def note(self, event: object) -> None:
        """Take note of *event*."""
        self.note_sound()
        match event:
            case RealtimeModelInputSpeechStartedEvent():
                self._user_speaks = True
            case RealtimeModelInputSpeechStoppedEvent():
                self._user_speaks = False
            case RealtimeModelTurnStartedEvent():
                self._model_responds = True
            case RealtimeModelTurnEndedEvent():
                self._model_responds = False
            case RealtimeToolStart():
                self._tools += 1
            case RealtimeToolEnd():
                self._tools -= 1
            case RealtimeModelConnectionStatusEvent(status="connected"):
                self.was_connected = True
                # After a reconnection nothing goes on of what went on before it.
                self._user_speaks = self._model_responds = False
                self.failure = None
            case RealtimeModelExceptionEvent(
                exception=RealtimeConnectionError(code=int()) as error
            ):
                # Without a code, something else is wrong with it than that it has ended.
                self.failure = error
            case RealtimeModelEndOfStreamEvent():
                self.has_ended = True
            case _:
                pass

    def note_sound(self) -> None:
        """Take note that something is heard right now."""
        self._since = anyio.current_time()

    @property
    def has_settled(self) -> bool:
        """Whether nothing is under way, and nothing was for a while."""
        is_busy = self._user_speaks or self._model_responds or self._tools > 0
        return not is_busy and anyio.current_time() - self._since >= _SETTLED
