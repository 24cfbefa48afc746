"""
The microphone and the loudspeaker, through PortAudio.

PortAudio calls from a thread of its own, which must not wait. What the microphone has heard is
handed to the event loop. What the loudspeaker plays is taken from the queue in that thread, so
that it is known what was really played, and an interruption is heard at once.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from ._playout import Played, PlayoutQueue
from ._wav import RATE

try:
    # By name, since it has no types: so it is Any to a type checker, installed or not.
    sounddevice: Any = importlib.import_module("sounddevice")
except ModuleNotFoundError as exc:
    if exc.name != "sounddevice":  # it is there, something it needs isn't: not ours to explain
        raise
    msg = "Microphone and speaker need the sounddevice package: pip install 'eventbus[audio]'."
    raise ModuleNotFoundError(msg, name="sounddevice") from exc
except OSError as exc:  # on Linux its wheel has no PortAudio
    msg = (
        "Microphone and speaker need the PortAudio library (apt install libportaudio2); "
        "files need none: --wav and --out."
    )
    raise OSError(msg) from exc

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["DeviceError", "Microphone", "Speaker"]

DeviceError: type[Exception] = sounddevice.PortAudioError
"""There is no such device, or it can't do what it should."""

_MAX_WAITING: Final = 250
"""Pieces of what was heard that may wait to be sent: five seconds, if they are of 20 ms."""


class _Stream:
    """A stream of PortAudio's, which runs while it is entered."""

    _stream: Any

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.abort()
        self._stream.close()


class Microphone(_Stream):
    """
    What the default microphone hears, as 16-bit mono PCM at 24 kHz; a context manager.

    Args:
        duration_ms: The length of a piece.

    Attributes:
        dropped: Pieces that were lost because nobody took them for seconds.

    Raises:
        DeviceError: There is no microphone, or it can't be opened.
    """

    def __init__(self, duration_ms: int) -> None:
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(_MAX_WAITING)
        self._stream = sounddevice.RawInputStream(
            samplerate=RATE,
            channels=1,
            dtype="int16",
            blocksize=RATE * duration_ms // 1000,
            callback=self._hear,
        )

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what is heard, as it is heard, without end."""
        while True:
            yield await self._heard.get()

    def _hear(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keep, bytes(data))

    def _keep(self, data: bytes) -> None:
        if self._heard.full():  # the oldest is the one that nobody misses
            self._heard.get_nowait()
            self.dropped += 1
        self._heard.put_nowait(data)


class Speaker(_Stream):
    """
    The default loudspeaker, which plays a queue of 16-bit mono PCM at 24 kHz; a context manager.

    Args:
        queue: What is to be heard.
        duration_ms: How much it takes at a time.
        on_played: Called with what it has taken, in PortAudio's thread.

    Raises:
        DeviceError: There is no loudspeaker, or it can't be opened.
    """

    def __init__(
        self, queue: PlayoutQueue, duration_ms: int, on_played: Callable[[Played], object]
    ) -> None:
        self._queue = queue
        self._on_played = on_played
        self._stream = sounddevice.RawOutputStream(
            samplerate=RATE,
            channels=1,
            dtype="int16",
            blocksize=RATE * duration_ms // 1000,
            callback=self._play,
        )

    def _play(self, out: Any, _frames: int, _time: Any, _status: Any) -> None:
        data, played = self._queue.take(len(out))
        out[:] = data
        for piece in played:
            self._on_played(piece)
