"""
The input audio buffer: the client's audio, and the turns of speech in it.

Positions are in milliseconds from the first sample of the session, over all that was ever
appended, as the protocol counts them. Clearing and committing don't turn them back.

With turn detection, a buffer in which nobody speaks keeps its last 30 s only, so that a client
may send silence for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pybase64

from ...audio._formats import AudioFormat
from .._vad import ServerVad, SpeechEvent, VadSettings
from .checks import RequestError

_MAX_APPEND_BYTES: Final = 15 * 1024 * 1024  # the service's
_MAX_BUFFER_MS: Final = 20 * 60 * 1_000
_KEPT_SILENCE_MS: Final = 30_000
_MIN_COMMIT_MS: Final = 100  # the service's


def decode_audio(data: str, audio_format: AudioFormat, path: str) -> bytes:
    """
    Return the bytes that *data* codes, which have to be whole samples.

    Raises:
        RequestError: They aren't, it is no base64, or it is too much.
    """
    if len(data) > _MAX_APPEND_BYTES * 4 // 3 + 4:
        msg = f"Invalid '{path}': too much audio. Send at most 15 MiB in an event."
        raise RequestError(msg, code="string_above_max_length", param=path)
    try:
        audio = pybase64.b64decode(data, validate=True)
    except ValueError as exc:  # binascii.Error, and a character beyond ASCII
        msg = f"Invalid '{path}'. Expected base64-encoded audio bytes."
        raise RequestError(msg, code="invalid_value", param=path) from exc
    if len(audio) % audio_format.sample_bytes:
        msg = (
            f"Invalid '{path}'. Expected whole samples of {audio_format.encoding}, "
            f"but got {len(audio)} bytes."
        )
        raise RequestError(msg, code="invalid_value", param=path)
    return audio


class InputAudio:
    """
    The buffer of one session, and the ear that listens to it.

    Args:
        audio_format: Of the appended audio.
        detection: The session's turn detection, if there is any.
    """

    def __init__(self, audio_format: AudioFormat, detection: Mapping[str, Any] | None) -> None:
        self._format = audio_format
        self._buffer = bytearray()
        self._origin_ms = 0  # where the present format began
        self._passed = 0  # bytes between there and the buffer
        self._vad: ServerVad | None = None
        self._vad_origin_ms = 0  # where the detector began
        self.configure(audio_format, detection)

    @property
    def position_ms(self) -> int:
        """The length of all audio of the session."""
        return self._position_ms(self._passed + len(self._buffer))

    @property
    def start_ms(self) -> int:
        """The position of the first sample that is still in it."""
        return self._position_ms(self._passed)

    @property
    def audio_format(self) -> AudioFormat:
        """The format of its content."""
        return self._format

    @property
    def content(self) -> bytes:
        """All that is in it."""
        return bytes(self._buffer)

    @property
    def content_ms(self) -> float:
        """The length of its content."""
        return self._format.duration_ms(len(self._buffer))

    @property
    def is_speech(self) -> bool:
        """True while somebody speaks."""
        return self._vad is not None and self._vad.is_speech

    def configure(self, audio_format: AudioFormat, detection: Mapping[str, Any] | None) -> None:
        """Take new settings for the audio to come; another format empties the buffer."""
        if audio_format != self._format:
            self._origin_ms = self.position_ms
            self._buffer.clear()
            self._passed = 0
            self._format = audio_format
            self._vad = None
        if detection is None:
            self._vad = None
        elif self._vad is None:
            self._vad_origin_ms = self.position_ms
            self._vad = ServerVad(
                VadSettings.from_turn_detection(detection), rate=audio_format.rate
            )
        else:
            self._vad.settings = VadSettings.from_turn_detection(detection)

    def append(self, audio: bytes) -> list[SpeechEvent]:
        """
        Take more audio, and return the speech events in it, with positions of the session.

        Raises:
            RequestError: The buffer is full.
        """
        if self._format.duration_ms(len(self._buffer) + len(audio)) > _MAX_BUFFER_MS:
            msg = "The input audio buffer is full. Commit or clear it."
            raise RequestError(msg, code="input_audio_buffer_full", param="audio")
        self._buffer += audio
        if self._vad is None:
            return []
        heard = self._vad.feed(self._format.to_pcm16(audio))
        if not heard and not self._vad.is_speech:
            self._drop_until(self.position_ms - _KEPT_SILENCE_MS)
        return heard

    def clear(self) -> None:
        """Forget the appended audio, and the speech that is going on."""
        self._passed += len(self._buffer)
        self._buffer.clear()
        if self._vad is not None:
            self._vad.reset()

    def commit(self) -> bytes:
        """
        Take all that is in the buffer out of it.

        Raises:
            RequestError: It is empty, or shorter than 100 ms.
        """
        duration_ms = self._format.duration_ms(len(self._buffer))
        if duration_ms < _MIN_COMMIT_MS:
            msg = (
                f"Error committing input audio buffer: buffer too small. Expected at least "
                f"{_MIN_COMMIT_MS}ms of audio, but buffer only has {duration_ms:.2f}ms of audio."
            )
            raise RequestError(msg, code="input_audio_buffer_commit_empty")
        audio = bytes(self._buffer)
        self.clear()
        return audio

    def take(self, start_ms: int, end_ms: int) -> bytes:
        """Take the audio from *start_ms* to *end_ms* out of the buffer, and all before it."""
        self._drop_until(start_ms)
        audio = bytes(self._buffer[: self._offset(end_ms)])
        self._drop_until(end_ms)
        return audio

    def to_session_ms(self, vad_ms: int) -> int:
        """Return a position of the detector, which began later, as one of the session."""
        return self._vad_origin_ms + vad_ms

    def _position_ms(self, byte_count: int) -> int:
        return self._origin_ms + int(self._format.duration_ms(byte_count))

    def _offset(self, position_ms: int) -> int:
        """Return where *position_ms* is in the buffer, in bytes."""
        offset = self._format.byte_count(max(position_ms - self._origin_ms, 0)) - self._passed
        return min(max(offset, 0), len(self._buffer))

    def _drop_until(self, position_ms: int) -> None:
        offset = self._offset(position_ms)
        del self._buffer[:offset]
        self._passed += offset
