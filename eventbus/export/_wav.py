"""
A call as a WAV file, with all speech at the time at which it was heard.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import IO, Final

from ..analysis._record_view import RecordView
from ..analysis._sound import sound_of
from ..analysis._timeline import Stretch
from ..audio import _wav as wav_files
from ..audio._formats import AudioFormat
from ..audio._resampling import resample
from ..audio._samples import Samples, samples_of
from ..exceptions import ExportError
from ..journal._records import Record

_NS_PER_S: Final = 1_000_000_000
_MAX_HOURS: Final = 6  # of 24 kHz stereo, about half of what a WAV file can hold


def write_wav(records: Iterable[Record | RecordView], file: IO[bytes]) -> None:
    """
    Write the call as a WAV file with 16 bits a sample.

    With the caller's audio in the journal, it has two channels: the caller on the left and the
    model on the right; else one, the model. Withheld audio is silence.

    Args:
        records: The records of one call; a `Journal`, records, or views of them.
        file: A file that is open for writing; it need not be seekable.

    Raises:
        ExportError: There is more than one call in it, or none with audio, or it is too long.
    """
    sound = sound_of(records, "a WAV file", keeps_audio=True)
    if sound.is_silent:
        msg = "There is no audio in it, so there is nothing to hear; was it withheld?"
        raise ExportError(msg)
    rate = max(sound.output.rate, sound.input.rate if sound.pieces else 0)
    channels = [_track(_heard(sound.playback.stretches, sound.output), sound.output, rate)]
    if sound.pieces:
        said = ((piece.start_ns, piece.data) for piece in sound.pieces)
        channels.insert(0, _track(said, sound.input, rate))
    wav_files.write_wav(file, channels, rate)


def _heard(stretches: Iterable[Stretch], form: AudioFormat) -> Iterator[tuple[int, bytes]]:
    """Yield the heard parts of the model's speech, with their times."""
    for stretch in stretches:
        size = round(stretch.heard_ns * form.rate / _NS_PER_S) * form.sample_bytes
        yield stretch.start_ns, b"".join(stretch.pieces)[:size]


def _track(parts: Iterable[tuple[int, bytes]], form: AudioFormat, rate: int) -> Samples:
    """Return one channel, with silence where there is nothing."""
    track: Samples = array("h")
    for start_ns, data in parts:
        if start_ns > _MAX_HOURS * 3600 * _NS_PER_S:
            msg = (
                f"The call lasts longer than {_MAX_HOURS} hours; trim the journal to a part of it."
            )
            raise ExportError(msg)
        start = round(start_ns * rate / _NS_PER_S)
        whole = data[: len(data) // form.sample_bytes * form.sample_bytes]
        samples = samples_of(resample(form.to_pcm16(whole), form.rate, rate))
        if start > len(track):
            track.extend(array("h", bytes(2 * (start - len(track)))))
        track[start : start + len(samples)] = samples
    return track
