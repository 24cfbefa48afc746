"""
Detection of the end of a live session in which nobody hangs up.

A file of speech ends, a conversation doesn't: the answer to the last question is still to come.
So a session is taken to be over when nobody speaks, no response and no tool is under way, all
speech has been played, and nothing has happened for a while.
"""

from __future__ import annotations

import math
from typing import Final

import anyio

from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
)
from ..exceptions import RealtimeConnectionError
from ..realtime.events import RealtimeRawModelEvent, RealtimeToolEnd, RealtimeToolStart
from ..wire.openai import RealtimeModelSilenceEvent

# Frames have events besides, and where sound never stops most of it is silence.
_NO_ACTIVITY: Final = (
    RealtimeModelRawServerEvent,
    RealtimeModelSilenceEvent,
    RealtimeModelUsageEvent,
    RealtimeRawModelEvent,
)

_PATIENCE: Final = 20.0
"""Seconds in which a response must begin that was asked for."""


class Activity:
    """
    The activity in one session, taken from its events, in the event loop's time.

    Args:
        settled_after: Seconds without an event, after which nothing more is expected.

    Attributes:
        was_connected: Whether there has been a connection at all.
        has_ended: Whether the connection has ended for good.
        failure: The error that has ended the connection, if one has.
    """

    def __init__(self, settled_after: float = 2.0) -> None:
        self._settled_after = settled_after
        self._since = -math.inf
        self._user_speaks = False
        self._model_responds = False
        self._awaited_until = -math.inf
        self._tools = 0
        self.was_connected = False
        self.has_ended = False
        self.failure: RealtimeConnectionError | None = None

    def expect_turn(self) -> None:
        """Note that a response was asked for, and will begin soon."""
        self._since = anyio.current_time()
        self._awaited_until = self._since + _PATIENCE

    def note(self, event: object) -> None:
        """Note *event*."""
        if isinstance(event, _NO_ACTIVITY):
            return
        self.note_sound()
        if isinstance(event, RealtimeModelTurnStartedEvent | RealtimeModelErrorEvent):
            self._awaited_until = -math.inf
        self._note_state(event)

    def _note_state(self, event: object) -> None:
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
                # Only an error with a code has ended the connection.
                self.failure = error
            case RealtimeModelEndOfStreamEvent():
                self.has_ended = True
            case _:
                pass

    def note_sound(self) -> None:
        """Note that speech is being played."""
        self._since = anyio.current_time()

    @property
    def has_settled(self) -> bool:
        """True if nothing is under way, and has been for a while."""
        now = anyio.current_time()
        is_busy = self._user_speaks or self._model_responds or self._tools > 0
        is_awaited = now < self._awaited_until
        return not is_busy and not is_awaited and now - self._since >= self._settled_after
