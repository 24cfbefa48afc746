"""
WAV files: what somebody says, read piece by piece, and what was heard, written as it is heard.
"""

from __future__ import annotations

import contextlib
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..exceptions import AudioFormatError
from ._resampling import Resampler, samples_of, to_bytes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RATE", "WavReader", "WavWriter"]

RATE: Final = 24_000
"""Samples per second of what a session says and hears: its PCM has no other rate."""

_RATES: Final = range(4_000, 192_001)
_CHANNELS: Final = range(1, 9)


class WavReader:
    """
    A WAV file as 16-bit mono PCM at 24 kHz; a context manager, which closes the file.

    Files of any other rate are resampled, and several channels become one, their mean.

    Args:
        path: The file; 16-bit PCM.

    Attributes:
        rate: Samples per second of the file.
        channels: How many channels the file has.
        seconds: How long it lasts, as it says itself.

    Raises:
        AudioFormatError: It is no such file, or has no sound in it.
        OSError: It can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opened here and not by wave: of what that opens, it warns when the file is none of its.
        self._file = path.open("rb")
        try:
            self._wave = self._open()
        except BaseException:
            self._file.close()
            raise
        self.rate = self._wave.getframerate()
        self.channels = self._wave.getnchannels()
        self.seconds = self._wave.getnframes() / self.rate

    def pieces(self, duration_ms: int) -> Iterator[bytes]:
        """Yield the sound in pieces of that length; the last one is filled up with silence."""
        size = 2 * RATE * duration_ms // 1000
        rest = b""
        for data in self._converted(duration_ms):
            rest += data
            while len(rest) >= size:
                yield rest[:size]
                rest = rest[size:]
        if rest:
            yield rest.ljust(size, b"\0")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._wave.close()
        self._file.close()

    def _open(self) -> wave.Wave_read:
        try:
            opened = wave.Wave_read(self._file)
        except (wave.Error, EOFError, RuntimeError) as exc:
            # The last two are how wave says that a length in the file goes beyond its end.
            why = str(exc) if isinstance(exc, wave.Error) else "it ends too early"
            msg = self._refusal(f"is no WAV file of 16-bit PCM ({why})")
            raise AudioFormatError(msg) from exc
        problem = _problem_of(opened)
        if problem is not None:
            opened.close()
            raise AudioFormatError(self._refusal(problem))
        return opened

    def _refusal(self, problem: str) -> str:
        return (
            f"{self._path} {problem}. "
            f"This makes one that fits: ffmpeg -i IN -ar {RATE} -ac 1 -c:a pcm_s16le OUT.wav"
        )

    def _converted(self, duration_ms: int) -> Iterator[bytes]:
        resampler = None if self.rate == RATE else Resampler(self.rate, RATE)
        frames = max(1, self.rate * duration_ms // 1000)
        frame_bytes = 2 * self.channels
        while data := self._wave.readframes(frames):
            # A file that was cut off may end within a frame.
            mono = _mixed(data[: len(data) // frame_bytes * frame_bytes], self.channels)
            yield mono if resampler is None else resampler.feed(mono)
        if resampler is not None:
            yield resampler.end()


class WavWriter:
    """
    A WAV file that is being written: 16-bit mono PCM at 24 kHz; a context manager.

    Its header is right after every piece, whatever happens then.

    Args:
        path: The file; one that there is already is overwritten.

    Raises:
        OSError: It can't be written, or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        try:
            # The header says how long the sound is, and that is known last.
            self._file.seek(0)
            self._wave = wave.Wave_write(self._file)
            self._wave.setnchannels(1)
            self._wave.setsampwidth(2)
            self._wave.setframerate(RATE)
            self._wave.writeframes(b"")
        except BaseException:
            self._file.close()
            raise

    def write(self, data: bytes) -> None:
        """
        Append *data*.

        Raises:
            OSError: It can't be written; the error names the file.
        """
        with self._named():
            self._wave.writeframes(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._named(), self._file:
            self._wave.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let an error name the file, as those of opening do."""
        try:
            yield
        except OSError as exc:
            exc.filename = str(self._path)
            raise


def _problem_of(opened: wave.Wave_read) -> str | None:
    """Return what keeps a file from being used, if anything does."""
    bits, channels, rate = 8 * opened.getsampwidth(), opened.getnchannels(), opened.getframerate()
    if bits != 16:
        return f"has samples of {bits} bits, and they must have 16"
    if channels not in _CHANNELS or rate not in _RATES:
        return f"has {channels} channels at {rate} Hz"
    if not opened.getnframes():
        return "has no sound in it"
    return None


def _mixed(data: bytes, channels: int) -> bytes:
    """Return one channel: the mean of those in *data*."""
    if channels == 1:
        return data
    samples = samples_of(data)
    mixed = samples[::channels]  # of the right length; every value is replaced
    parts = [samples[number::channels] for number in range(channels)]
    for index, values in enumerate(zip(*parts, strict=True)):
        mixed[index] = sum(values) // channels
    return to_bytes(mixed)
