"""
Runs a live session: what is said goes in, what is answered is heard, until it is over.

Silence follows a file of speech, as it would from a microphone: by that the service notices
that the turn has ended. `activity` knows when the session has, too.

Speech is played at its own pace, by the loudspeaker or by the clock, and what was played is what
is written to a file. So an interruption cuts it off there as well, and silence stays silence.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, TypeAlias

import anyio
import attrs

from ..audio._playout import Played, PlayoutQueue
from ..audio._samples import RATE
from ..bus import EventBus
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEvent,
)
from ..exceptions import ModelNotConnected
from ..realtime.model import RealtimeModelNowaitListener
from ..realtime.playback import RealtimePlaybackTracker
from ..realtime.session import RealtimeSession
from .activity import Activity

__all__ = ["PIECE_MS", "CallClock", "Ear", "LiveCall", "Write", "paced", "play_by_clock"]

PIECE_MS: Final = 20
"""How much audio is sent and played at a time."""

_PIECE_BYTES: Final = 2 * RATE * PIECE_MS // 1000
_SILENCE: Final = bytes(_PIECE_BYTES)


class CallClock:
    """
    Tells how many seconds a call has lasted, in the event loop's time; 0 before it began.

    Args:
        speed: How many of its seconds pass in one.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start: float | None = None

    def start(self) -> None:
        """Let the call begin now."""
        self._start = anyio.current_time()

    def __call__(self) -> float:
        """Return how long it has lasted."""
        if self._start is None:
            return 0.0
        return (anyio.current_time() - self._start) * self._speed


class Ear(RealtimeModelNowaitListener):
    """
    Puts a model's speech into a queue, and empties it when the model is interrupted.

    It listens to the model and not on the bus, where it would count as one of the app's handlers.

    Args:
        queue: What is to be heard.
    """

    def __init__(self, queue: PlayoutQueue) -> None:
        self._queue = queue

    def on_event_nowait(self, event: RealtimeModelEvent) -> None:
        """Take *event*."""
        if isinstance(event, RealtimeModelAudioEvent):
            self._queue.add(Played(event.item_id, event.content_index, event.data))
        elif isinstance(event, RealtimeModelAudioInterruptedEvent):
            self._queue.clear()


Write: TypeAlias = Callable[[bytes], object]
"""Takes what was heard, silence included."""


async def paced(pieces: Iterable[bytes], speed: float = 1.0) -> AsyncIterator[bytes]:
    """
    Yield pieces of sound, each when it has been spoken.

    Args:
        pieces: Each lasts `PIECE_MS`.
        speed: How many times faster than they sound.
    """
    start = anyio.current_time()
    for number, piece in enumerate(pieces, 1):
        await anyio.sleep_until(start + number * PIECE_MS / 1000 / speed)
        yield piece


async def play_by_clock(
    queue: PlayoutQueue,
    on_played: Callable[[Played], object],
    write: Write,
) -> None:
    """
    Play *queue* at its own pace, for nobody to hear.

    Args:
        queue: What is to be heard.
        on_played: Called with each piece that was.
        write: Called with what was heard, silence included.
    """
    async for _ in paced(itertools.repeat(b"")):
        data, played = queue.take(_PIECE_BYTES)
        write(data)
        for piece in played:
            on_played(piece)


@attrs.define
class LiveCall:
    """
    What a live session needs beside its session; `run` runs it, once.

    Attributes:
        bus: Where its events are published.
        session: The session, not entered yet.
        activity: What is under way; somebody else tells it of the events on the bus.
        queue: What is to be heard; an `Ear` fills it.
        tracker: Learns what was heard.
        max_seconds: After so long it ends in any case.
    """

    bus: EventBus
    session: RealtimeSession
    activity: Activity
    queue: PlayoutQueue
    tracker: RealtimePlaybackTracker
    max_seconds: float | None = None
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)

    async def run(self, said: AsyncIterator[bytes], write: Write | None) -> None:
        """
        Connect, and talk until it is over.

        Args:
            said: What the user says, in real time; where it ends, the session does.
            write: Called with what is heard, to write it down; None if a loudspeaker has the
                queue.

        Raises:
            RealtimeConnectionError: There is no connection.
        """
        async with self.bus, self.session, anyio.create_task_group() as tasks:
            if write is not None:
                tasks.start_soon(play_by_clock, self.queue, self.note_played, write)
            with self._scope, anyio.move_on_after(self.max_seconds):
                await self._speak(said)
                async for _ in paced(itertools.repeat(b"")):
                    if not len(self.queue):
                        break  # else the connection has ended, but not what it has brought
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """End as soon as possible; from the event loop."""
        self._scope.cancel()

    def note_played(self, piece: Played) -> None:
        """Take note that *piece* was heard; from any thread."""
        self.tracker.on_play_bytes(piece.item_id, piece.content_index, piece.data)

    async def with_silence(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        """Yield *pieces* in real time, and silence until nothing more is expected."""
        async for piece in paced(pieces):
            yield piece
        self.activity.note_sound()
        async for piece in paced(itertools.repeat(_SILENCE)):
            if len(self.queue):
                self.activity.note_sound()
            elif self.activity.has_settled:
                return
            yield piece

    async def _speak(self, said: AsyncIterator[bytes]) -> None:
        async for piece in said:
            if self.activity.has_ended:
                return
            # It may have ended since, and `activity` will know.
            with contextlib.suppress(ModelNotConnected):
                await self.session.send_audio(piece)
