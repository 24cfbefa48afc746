"""
WAV files: reading speech piece by piece, and writing audio as it is heard.
"""

from __future__ import annotations

import array
import contextlib
import os
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ..exceptions import AudioFormatError
from ._resampling import Resampler
from ._samples import RATE, Samples, samples_of, to_bytes

if TYPE_CHECKING:
    from typing import Self

_RATES: Final = range(4_000, 192_001)
_CHANNELS: Final = range(1, 9)


class WavReader:
    """
    A WAV file as 16-bit mono PCM; a context manager, which closes the file.

    The audio is resampled if the file has another rate; several channels become one, their mean.

    Args:
        path: The file; 16-bit PCM.
        rate: Samples per second of the pieces.

    Attributes:
        rate: Samples per second of the file.
        channels: Number of channels of the file.
        seconds: Duration, according to the file's header.

    Raises:
        AudioFormatError: It is not a WAV file of 16-bit PCM, or has no audio in it.
        OSError: It can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: int = RATE) -> None:
        self._path = Path(path)
        self._to_rate = rate
        # Not opened by wave, which leaves a file open that it can't read.
        self._file = self._path.open("rb")
        try:
            self._wave = self._open()
        except BaseException:
            self._file.close()
            raise
        self.rate = self._wave.getframerate()
        self.channels = self._wave.getnchannels()
        self.seconds = self._wave.getnframes() / self.rate

    def pieces(self, duration_ms: int) -> Iterator[bytes]:
        """Yield the audio in pieces of that length; the last one is filled up with silence."""
        size = 2 * (self._to_rate * duration_ms // 1000)
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

    def __exit__(self, *exc_info: object) -> None:
        self._wave.close()
        self._file.close()

    def _open(self) -> wave.Wave_read:
        try:
            opened = wave.Wave_read(self._file)
        except (wave.Error, EOFError, RuntimeError) as exc:
            # wave raises the last two where a length in the file goes beyond the file's end.
            why = str(exc) if isinstance(exc, wave.Error) else "it ends too early"
            msg = self._refusal(f"is not a WAV file of 16-bit PCM ({why})")
            raise AudioFormatError(msg) from exc
        problem = _problem_of(opened)
        if problem is not None:
            opened.close()
            raise AudioFormatError(self._refusal(problem))
        return opened

    def _refusal(self, problem: str) -> str:
        return (
            f"{self._path} {problem}. "
            f"To convert it: ffmpeg -i IN -ar {RATE} -ac 1 -c:a pcm_s16le OUT.wav"
        )

    def _converted(self, duration_ms: int) -> Iterator[bytes]:
        resampler = None
        if self.rate != self._to_rate:
            resampler = Resampler(self.rate, self._to_rate)
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
    A WAV file that is being written: 16-bit mono PCM; a context manager.

    The header is correct after each piece, so the file can be read however the program ends.

    Args:
        path: The file; an existing one is overwritten.
        rate: Samples per second.

    Raises:
        OSError: It can't be written, or is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: int = RATE) -> None:
        self._path = Path(path)
        self._file = self._path.open("wb")
        try:
            # The header has the length, which is known last: the file must be seekable.
            self._file.seek(0)
            self._wave = wave.Wave_write(self._file)
            self._wave.setnchannels(1)
            self._wave.setsampwidth(2)
            self._wave.setframerate(rate)
            self._wave.writeframes(b"")
        except BaseException:
            self._file.close()
            raise

    def write(self, data: bytes) -> None:
        """
        Append *data*, 16-bit mono PCM.

        Raises:
            OSError: It can't be written; the error names the file.
        """
        with self._named():
            self._wave.writeframes(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._named(), self._file:
            self._wave.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Add the file's name to an OSError, as `open` does."""
        try:
            yield
        except OSError as exc:
            exc.filename = str(self._path)
            raise


def write_wav(file: IO[bytes], channels: Sequence[Samples], rate: int) -> None:
    """
    Write a whole WAV file of 16 bits a sample.

    Args:
        file: Open for writing; it need not be seekable.
        channels: Shorter ones are filled up with silence.
        rate: Samples per second.
    """
    length = max(map(len, channels))
    samples = array.array("h", bytes(2 * length * len(channels)))
    for number, channel in enumerate(channels):
        samples[number : number + len(channel) * len(channels) : len(channels)] = channel
    with wave.open(file, "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.setnframes(length)  # so that the header is right at once
        out.writeframesraw(to_bytes(samples))


def _problem_of(opened: wave.Wave_read) -> str | None:
    """Return the reason that a file can't be used, if there is one."""
    bits, channels, rate = 8 * opened.getsampwidth(), opened.getnchannels(), opened.getframerate()
    if bits != 16:
        return f"has samples of {bits} bits instead of 16"
    if channels not in _CHANNELS or rate not in _RATES:
        return f"has {channels} channels at {rate} Hz"
    if not opened.getnframes():
        return "has no audio in it"
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
