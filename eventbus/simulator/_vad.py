"""
Server VAD: when the caller speaks, by the energy of the audio.

1. The audio is looked at in windows of 20 ms, counted from the session's first sample on. So
   the result depends on the audio only, never on how it was cut into messages.
2. A window is loud if its level is at least -60 dBFS + 40 dB times the threshold: -40 dBFS
   for the default of 0.5. The service's threshold is that of a trained detector; here as
   there, a higher one needs louder speech.
3. Speech starts with two loud windows in a row, as one may be a click. It starts where the
   first of them does, less the padding, and never before the end of the turn before.
4. It stops when all windows have been quiet for the silence's duration. The end is that of
   the silence: as at the service, the model gets the audio from start to end.
"""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Mapping
from operator import mul
from typing import Any, Final, TypeAlias

import attrs

from ._script.config_reader import Number

_DURATION_MS: Final = Number(0, 60_000, is_whole=True)

_WINDOW_MS: Final = 20
_ONSET_WINDOWS: Final = 2

# Of a faster stream only every n-th sample is squared: energy needs no fidelity, and what lies
# above the new limit is folded down, not lost.
_ENOUGH_SAMPLES: Final = 8_000

# How long semantic VAD waits after the last word; it listens to what is said, which can't be
# simulated without understanding it.
_EAGERNESS_MS: Final = {"low": 1_200, "medium": 700, "auto": 700, "high": 300}


@attrs.frozen
class VadSettings:
    """
    The settings of turn detection; names and defaults are those of ``server_vad``.

    Attributes:
        threshold: From 0 to 1; a higher one needs louder speech.
        prefix_padding_ms: How much audio before the speech belongs to it.
        silence_duration_ms: How long the silence is that ends it.
    """

    threshold: float = attrs.field(default=0.5, validator=Number(0, 1))
    prefix_padding_ms: int = attrs.field(default=300, validator=_DURATION_MS)
    silence_duration_ms: int = attrs.field(default=500, validator=_DURATION_MS)

    @classmethod
    def from_turn_detection(cls, settings: Mapping[str, Any]) -> VadSettings:
        """
        Return the settings of a session's ``turn_detection``, with defaults for the rest.

        ``semantic_vad`` is simulated by a silence that is the shorter, the more eager it is.

        Args:
            settings: Valid settings of either type, as the protocol has them.
        """
        if settings.get("type") == "semantic_vad":
            eagerness = settings.get("eagerness") or "auto"
            return cls(silence_duration_ms=_EAGERNESS_MS.get(eagerness, _EAGERNESS_MS["auto"]))
        names = [field.name for field in attrs.fields(cls)]
        return cls(**{name: settings[name] for name in names if settings.get(name) is not None})


@attrs.frozen
class SpeechStarted:
    """
    The caller speaks.

    Attributes:
        audio_start_ms: Where, padding included, from the session's first sample on.
    """

    audio_start_ms: int


@attrs.frozen
class SpeechStopped:
    """
    The caller has stopped.

    Attributes:
        audio_end_ms: Where the silence that ended the turn does, from the session's first sample.
    """

    audio_end_ms: int


SpeechEvent: TypeAlias = SpeechStarted | SpeechStopped


class ServerVad:
    """
    The voice detector of one session.

    Args:
        settings: How it decides; the defaults, if there are none.
        rate: Samples per second of the PCM16 that it is fed.

    Attributes:
        settings: How it decides; may be replaced at any time, for the audio that follows.
        is_speech: Whether the caller speaks.
    """

    def __init__(self, settings: VadSettings | None = None, *, rate: int = 24_000) -> None:
        self.settings = settings or VadSettings()
        self.is_speech = False
        self._rate = rate
        self._window_bytes = rate * _WINDOW_MS // 1000 * 2
        self._stride = max(1, rate // _ENOUGH_SAMPLES)
        self._rest = b""  # less than a window
        self._windows = 0  # that were looked at
        self._in_a_row = 0  # loud ones before speech, quiet ones within it
        self._floor_ms = 0  # where the turn before ended

    @property
    def position_ms(self) -> int:
        """The length of the audio that it was fed since the session began."""
        return self._windows * _WINDOW_MS + len(self._rest) // 2 * 1000 // self._rate

    def feed(self, pcm: bytes) -> list[SpeechEvent]:
        """
        Take the next audio, of any length (half a sample, too), and return the speech events in it.

        Args:
            pcm: Signed 16-bit little-endian mono samples.
        """
        audio = self._rest + pcm
        size = self._window_bytes
        whole = len(audio) // size * size
        self._rest = audio[whole:]
        samples = array.array("h", audio[:whole])
        if sys.byteorder == "big":
            samples.byteswap()
        quietest = 10 ** ((-60 + 40 * self.settings.threshold) / 20) * 0x8000
        needed = quietest**2 * math.ceil(size // 2 / self._stride)
        heard: list[SpeechEvent] = []
        for start in range(0, whole // 2, size // 2):
            window = samples[start : start + size // 2 : self._stride]
            event = self._look_at(sum(map(mul, window, window)) >= needed)
            if event is not None:
                heard.append(event)
        return heard

    def reset(self) -> None:
        """
        Forget the speech that is going on: the client has committed or cleared the buffer.

        The position stays, and the padding of the next speech doesn't reach back behind it.
        """
        self._end_turn(self.position_ms)

    def _look_at(self, is_loud: bool) -> SpeechEvent | None:
        self._windows += 1
        self._in_a_row = self._in_a_row + 1 if is_loud != self.is_speech else 0
        now_ms = self._windows * _WINDOW_MS
        if not self.is_speech and self._in_a_row >= _ONSET_WINDOWS:
            onset_ms = now_ms - self._in_a_row * _WINDOW_MS
            self.is_speech = True
            self._in_a_row = 0
            return SpeechStarted(max(onset_ms - self.settings.prefix_padding_ms, self._floor_ms))
        silence_ms = max(self.settings.silence_duration_ms, _WINDOW_MS)
        if self.is_speech and self._in_a_row * _WINDOW_MS >= silence_ms:
            self._end_turn(now_ms)
            return SpeechStopped(now_ms)
        return None

    def _end_turn(self, end_ms: int) -> None:
        self.is_speech = False
        self._in_a_row = 0
        self._floor_ms = end_ms
