"""
A live session: audio or text goes in, the answers are played, until it is over.

Silence follows a file of speech, as it would from a microphone: so the service notices the end of
the turn. `activity` decides when the session is over.

Speech is played at its own pace, by the loudspeaker or by the clock, and a file gets the same:
an interruption cuts it off there as well, and silence stays silence.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import attrs

from ..audio._formats import PCM16, AudioFormat, session_format
from ..audio._playout import Played, PlayoutQueue
from ..audio._resampling import Resampler
from ..audio._samples import RATE
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelEvent,
    RealtimeModelSessionUpdatedEvent,
)
from ..exceptions import ModelNotConnected
from ..realtime.model import RealtimeModelNowaitListener
from ..realtime.playback import RealtimePlaybackTracker
from ..realtime.session import RealtimeSession
from .activity import Activity

PIECE_MS: Final = 20
"""Duration of the pieces that are sent and played."""

_PIECE_BYTES: Final = 2 * RATE * PIECE_MS // 1000
_SILENCE: Final = bytes(_PIECE_BYTES)


class CallClock:
    """
    The duration of a call in seconds, in the event loop's time; 0 before it begins.

    Args:
        speed: The call's seconds per second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start: float | None = None

    def start(self) -> None:
        """Begin the call now."""
        self._start = anyio.current_time()

    def __call__(self) -> float:
        """Return the duration so far."""
        if self._start is None:
            return 0.0
        return (anyio.current_time() - self._start) * self._speed


class Ear(RealtimeModelNowaitListener):
    """
    Puts a model's speech into a queue, and empties it when the model is interrupted.

    It listens to the model and not on the bus, where it would be one of the app's handlers.

    Args:
        queue: The speech to play, as PCM at 24 kHz.
        settings: The session's settings, which have the audio formats to begin with.

    Attributes:
        input_format: The session's input format.
    """

    def __init__(self, queue: PlayoutQueue, settings: Mapping[str, Any]) -> None:
        self._queue = queue
        self._output_format = _format_in(settings, "output")
        self._resampler: Resampler | None = None
        self.input_format = _format_in(settings, "input")

    def on_event_nowait(self, event: RealtimeModelEvent) -> None:
        """Take *event*."""
        if isinstance(event, RealtimeModelAudioEvent):
            data = self._as_played(event.data)
            self._queue.add(Played(event.item_id, event.content_index, data))
        elif isinstance(event, RealtimeModelAudioInterruptedEvent):
            self._queue.clear()
        elif isinstance(event, RealtimeModelSessionUpdatedEvent):
            self.input_format = session_format(event.session, "input")
            output_format = session_format(event.session, "output")
            if output_format != self._output_format:
                self._output_format, self._resampler = output_format, None

    def _as_played(self, data: bytes) -> bytes:
        """Return *data* of the model's as PCM at 24 kHz."""
        size = self._output_format.sample_bytes
        data = self._output_format.to_pcm16(data[: len(data) // size * size])
        if self._output_format.rate == RATE:
            return data
        if self._resampler is None:
            self._resampler = Resampler(self._output_format.rate, RATE)
        return self._resampler.feed(data)


def _format_in(settings: Mapping[str, Any], side: str) -> AudioFormat:
    """Return the audio format of one side in settings that a program gives."""
    audio = settings.get("audio") or {}
    given = (audio.get(side) or {}).get("format") or settings.get(f"{side}_audio_format")
    return PCM16 if given is None else AudioFormat.of(given)


Write: TypeAlias = Callable[[bytes], object]
"""Takes the audio that was played, silence included."""


async def paced(pieces: Iterable[bytes], speed: float = 1.0) -> AsyncIterator[bytes]:
    """
    Yield pieces of audio, each after its duration has passed.

    Args:
        pieces: Each lasts `PIECE_MS`.
        speed: A factor; 1 is real time.
    """
    start = anyio.current_time()
    for number, piece in enumerate(pieces, 1):
        await anyio.sleep_until(start + number * PIECE_MS / 1000 / speed)
        yield piece


async def play_by_clock(
    queue: PlayoutQueue,
    on_played: Callable[[Played], object],
    write: Write,
    *,
    is_paced: bool = True,
) -> None:
    """
    Play *queue* without a loudspeaker.

    Args:
        queue: The speech to play.
        on_played: Called with each piece that was played.
        write: Called with all that was played, silence included.
        is_paced: Whether speech takes its time; else it is played when it comes.
    """
    async for _ in paced(itertools.repeat(b"")):
        data, played = queue.take(_PIECE_BYTES if is_paced else len(queue))
        write(data)
        for piece in played:
            on_played(piece)


@attrs.define
class LiveCall:
    """
    A live session with its input and output; `run` runs it, once.

    Attributes:
        session: The session, not entered yet.
        activity: Its activity; the caller notes the events on the bus there.
        queue: The speech to play; *ear* fills it.
        ear: Listens to the model.
        tracker: The session's playback tracker.
        max_seconds: The session ends after this time in any case.
    """

    session: RealtimeSession
    activity: Activity
    queue: PlayoutQueue
    ear: Ear
    tracker: RealtimePlaybackTracker
    max_seconds: float | None = None
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _resampler: Resampler | None = attrs.field(default=None, init=False)

    async def run(
        self, talk: Callable[[], Awaitable[None]], write: Write | None, *, is_paced: bool = True
    ) -> None:
        """
        Connect, and talk until it is over.

        Args:
            talk: Sends the user's side, in real time; the session ends when it returns.
            write: Called with the audio that was played; None if a loudspeaker has the queue.
            is_paced: As in `play_by_clock`.

        Raises:
            RealtimeConnectionError: There is no connection.
        """
        async with self.session.bus, self.session, anyio.create_task_group() as tasks:
            if write is not None:
                play = functools.partial(play_by_clock, is_paced=is_paced)
                tasks.start_soon(play, self.queue, self.note_played, write)
            with self._scope, anyio.move_on_after(self.max_seconds):
                await talk()
                async for _ in paced(itertools.repeat(b"")):
                    if not len(self.queue):
                        break  # else the connection has ended before its speech was played
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """End as soon as possible; from the event loop."""
        self._scope.cancel()

    def note_played(self, piece: Played) -> None:
        """Note that *piece* was played; from any thread."""
        ms = PCM16.duration_ms(len(piece.data))
        self.tracker.on_play_ms(piece.item_id, piece.content_index, ms)

    async def with_silence(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        """Yield *pieces* in real time, and silence until nothing more is expected."""
        async for piece in paced(pieces):
            yield piece
        self.activity.note_sound()
        async for piece in paced(itertools.repeat(_SILENCE)):
            if self._is_over():
                return
            yield piece

    async def speak(self, pieces: AsyncIterator[bytes]) -> None:
        """Send audio; return early if the connection has ended."""
        async for piece in pieces:
            if self.activity.has_ended:
                return
            # It may have ended since; then `activity` will know.
            with contextlib.suppress(ModelNotConnected):
                await self.session.send_audio(self._as_sent(piece))

    async def write(self, texts: AsyncIterator[str]) -> None:
        """Send messages, each when the answer to the one before is complete."""
        async for text in texts:
            if self.activity.has_ended:
                return
            with contextlib.suppress(ModelNotConnected):
                await self.session.send_message(text)
            self.activity.expect_turn()
            async for _ in paced(itertools.repeat(b"")):
                if self._is_over():
                    break

    def _is_over(self) -> bool:
        """Return True if nothing more is expected."""
        if len(self.queue):
            self.activity.note_sound()
            return False
        return self.activity.has_settled or self.activity.has_ended

    def _as_sent(self, piece: bytes) -> bytes:
        """Return a piece of PCM at 24 kHz in the session's input format."""
        to = self.ear.input_format
        if to.rate != RATE:
            if self._resampler is None:
                self._resampler = Resampler(RATE, to.rate)
            piece = self._resampler.feed(piece)
        return to.from_pcm16(piece)
