"""
The microphone and the loudspeaker, through PortAudio; `eventbus.audio` has both classes.

PortAudio calls from a thread of its own, which must not wait. The microphone's pieces are handed
to the event loop. The loudspeaker takes its pieces from a queue in that thread, so that the
playback tracker learns exactly how much was played, and an interruption is heard at once.

A device that doesn't support the requested rate is opened at its own, and the audio is resampled.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..events import RealtimeModelAudioEvent
from ._playout import Played, PlayoutQueue
from ._resampling import Resampler
from ._samples import RATE

try:
    # By name, since it has no types: so it is Any to a type checker, installed or not.
    sounddevice: Any = importlib.import_module("sounddevice")
except ModuleNotFoundError as exc:
    if exc.name != "sounddevice":  # it is there, something it needs isn't: not ours to explain
        raise
    msg = (
        "Microphone and loudspeaker need the sounddevice package: pip install 'eventbus[audio]', "
        "or pip install '.[audio]' in a clone."
    )
    raise ModuleNotFoundError(msg, name="sounddevice") from exc
except OSError as exc:  # on Linux its wheel has no PortAudio
    msg = (
        "Microphone and loudspeaker need the PortAudio library (apt install libportaudio2); "
        "WAV files need none."
    )
    raise OSError(msg) from exc

if TYPE_CHECKING:
    from typing import Self

__all__ = ["DeviceError", "Loudspeaker", "Microphone"]

DeviceError: type[Exception] = sounddevice.PortAudioError
"""There is no such device, or it doesn't support what is asked of it."""

_MAX_WAITING: Final = 250
"""Pieces that may wait to be sent: five seconds, if they are of 20 ms."""


class PlaybackTracker(Protocol):
    """The part of `eventbus.realtime.playback.RealtimePlaybackTracker` that is used here."""

    def on_play_bytes(self, item_id: str, item_content_index: int, bytes: bytes) -> None:  # noqa: A002  # openai-agents' name
        """Note that a piece was played."""


class _Device:
    """A PortAudio stream, which runs while the object is entered."""

    _stream: Any

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.abort()
        self._stream.close()


class Microphone(_Device):
    """
    The microphone, as 16-bit mono PCM; a context manager, to be used on asyncio.

    Args:
        rate: Samples per second.
        piece_ms: Duration of a piece.
        device: Name or number of the device, as sounddevice lists them; None for the default.

    Attributes:
        dropped: Number of pieces lost because the program or the device was too slow.

    Raises:
        DeviceError: There is no microphone, or it can't be opened.
    """

    def __init__(
        self, rate: int = RATE, piece_ms: int = 20, *, device: int | str | None = None
    ) -> None:
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(_MAX_WAITING)
        self._piece_bytes = 2 * (rate * piece_ms // 1000)
        device_rate = _supported_rate(sounddevice.check_input_settings, "input", rate, device)
        self._resampler = None if device_rate == rate else Resampler(device_rate, rate)
        self._rest = b""
        self._stream = sounddevice.RawInputStream(
            samplerate=device_rate,
            channels=1,
            dtype="int16",
            blocksize=device_rate * piece_ms // 1000,
            device=device,
            callback=self._hear,
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces as they are recorded, without end."""
        while True:
            yield await self._heard.get()

    def _hear(self, data: Any, _frames: int, _time: Any, status: Any) -> None:
        """Take a buffer from PortAudio's thread."""
        piece = bytes(data)
        if self._resampler is not None:
            self._rest += self._resampler.feed(piece)
            size = self._piece_bytes
            pieces = [self._rest[at : at + size] for at in range(0, len(self._rest), size)]
            self._rest = pieces.pop() if pieces and len(pieces[-1]) < size else b""
        else:
            pieces = [piece]
        lost = bool(status and status.input_overflow)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keep, pieces, lost)

    def _keep(self, pieces: list[bytes], lost: bool) -> None:
        self.dropped += lost
        for piece in pieces:
            if self._heard.full():  # drop the oldest: late audio delays all that follows
                self._heard.get_nowait()
                self.dropped += 1
            self._heard.put_nowait(piece)


class Loudspeaker(_Device):
    """
    The loudspeaker, which plays 16-bit mono PCM; a context manager.

    `play` and `clear` are handlers::

        with Loudspeaker(tracker=tracker) as loudspeaker:
            bus.subscribe(loudspeaker.play, RealtimeModelAudioEvent)
            bus.subscribe(loudspeaker.clear, RealtimeModelAudioInterruptedEvent)

    Args:
        rate: Samples per second.
        piece_ms: Duration of a piece; an interruption is heard after at most this long.
        tracker: Is told of each piece that was played, in PortAudio's thread.
        on_played: Called with each piece that was played, in PortAudio's thread.
        queue: The pieces to play; a new queue by default.
        device: Name or number of the device, as sounddevice lists them; None for the default.

    Attributes:
        queue: The pieces that wait.

    Raises:
        DeviceError: There is no loudspeaker, or it can't be opened.
    """

    def __init__(
        self,
        rate: int = RATE,
        piece_ms: int = 20,
        *,
        tracker: PlaybackTracker | None = None,
        on_played: Callable[[Played], object] | None = None,
        queue: PlayoutQueue | None = None,
        device: int | str | None = None,
    ) -> None:
        self.queue = PlayoutQueue() if queue is None else queue
        self._rate = rate
        self._tracker = tracker
        self._on_played = on_played
        self._device_underruns = 0
        device_rate = _supported_rate(sounddevice.check_output_settings, "output", rate, device)
        self._resampler = None if device_rate == rate else Resampler(rate, device_rate)
        self._made = b""
        self._step = 2 * (rate * piece_ms // 1000)
        self._stream = sounddevice.RawOutputStream(
            samplerate=device_rate,
            channels=1,
            dtype="int16",
            blocksize=device_rate * piece_ms // 1000,
            device=device,
            callback=self._fill,
        )

    @property
    def underruns(self) -> int:
        """Number of gaps that were heard: within an item, or because the program was too slow."""
        return self.queue.underruns + self._device_underruns

    @property
    def waiting_ms(self) -> float:
        """Duration of the audio that waits to be played."""
        return len(self.queue) / 2 / self._rate * 1000

    def play(self, event: RealtimeModelAudioEvent, /) -> None:
        """Play the audio of *event* after the audio that waits already."""
        self.queue.add(Played(event.item_id, event.content_index, event.data))

    def clear(self, _event: object = None, /) -> None:
        """Drop all that waits, because the caller interrupts."""
        self.queue.clear()

    async def wait_played(self) -> None:
        """Wait until nothing waits to be played any more; cancelling it changes nothing."""
        while len(self.queue):  # noqa: ASYNC110  # emptied by a thread that must not wait for us
            await asyncio.sleep(0.01)

    def _fill(self, out: Any, _frames: int, _time: Any, status: Any) -> None:
        """Fill a buffer of PortAudio's, in its thread."""
        if status and status.output_underflow:
            self._device_underruns += 1
        size = len(out)
        if self._resampler is None:
            out[:] = self._take(size)
            return
        while len(self._made) < size:
            self._made += self._resampler.feed(self._take(self._step))
        out[:], self._made = self._made[:size], self._made[size:]

    def _take(self, size: int) -> bytes:
        data, played = self.queue.take(size)
        for piece in played:
            if self._tracker is not None:
                self._tracker.on_play_bytes(piece.item_id, piece.content_index, piece.data)
            if self._on_played is not None:
                self._on_played(piece)
        return data


def _supported_rate(
    check: Callable[..., object], kind: str, rate: int, device: int | str | None
) -> int:
    """Return *rate*, or the device's own rate if it doesn't support that one."""
    try:
        check(device=device, channels=1, dtype="int16", samplerate=rate)
    except DeviceError:
        own = int(sounddevice.query_devices(device, kind)["default_samplerate"])
        check(device=device, channels=1, dtype="int16", samplerate=own)
        return own
    return rate
