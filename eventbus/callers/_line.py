"""
The line between a caller and the agent: what each of them hears of the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio

from ..audio._formats import PCM16, AudioFormat
from ..bus import EventBus, Scope
from ..events import RealtimeModelAudioEvent, RealtimeModelAudioInterruptedEvent
from ._hearing import Ear


class Line(Protocol):
    """A connection to the agent under test."""

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio in both directions."""
        ...

    def connect(self, ear: Ear) -> AbstractAsyncContextManager[None]:
        """Return a context in which the agent's audio goes to *ear*."""
        ...

    async def send(self, audio: bytes) -> None:
        """Send 20 ms of the caller's audio; of a call that is over, nothing is sent."""
        ...

    async def press(self, key: str) -> None:
        """Press a key of the telephone."""
        ...


class HearingSession(Protocol):
    """A session with the model; `eventbus.realtime.session.RealtimeSession` is one."""

    async def send_audio(self, audio: bytes, /) -> None:
        """Send audio of the user."""


class SessionLine:
    """
    A line to a session in this process, whose model's audio is published on a bus.

    Args:
        session: The agent's session, which has been entered.
        bus: Its bus or scope.
        audio_format: The format of the session's audio in both directions.
    """

    def __init__(
        self, session: HearingSession, bus: EventBus | Scope, *, audio_format: AudioFormat = PCM16
    ) -> None:
        self._session = session
        self._bus = bus
        self._format = audio_format

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio in both directions."""
        return self._format

    @asynccontextmanager
    async def connect(self, ear: Ear) -> AsyncIterator[None]:
        """Let *ear* play the model's audio, as a loudspeaker that an interruption silences."""

        def play(event: RealtimeModelAudioEvent | RealtimeModelAudioInterruptedEvent) -> None:
            now = anyio.current_time()
            if isinstance(event, RealtimeModelAudioEvent):
                ear.receive(event.data, now)
            else:
                ear.clear(now)

        subscription = self._bus.subscribe(
            play, RealtimeModelAudioEvent, RealtimeModelAudioInterruptedEvent
        )
        try:
            yield
        finally:
            subscription.cancel()

    async def send(self, audio: bytes) -> None:
        """Send the caller's audio to the session."""
        await self._session.send_audio(audio)

    async def press(self, key: str) -> None:
        """
        Refuse a key, as the session has no telephone.

        Raises:
            NotImplementedError: Always.
        """
        msg = f"A session has no keys, and {key!r} can't be pressed; call a phone server instead."
        raise NotImplementedError(msg)
