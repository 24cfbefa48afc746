"""
The voice of a GPT-Live session: utterances one after another, in the time of the audio.

Sound never stops. Each piece of the user's audio is answered with a piece of the same duration:
of an utterance, of a fixture, or of silence. So it is never ahead of the conversation, and the
voice stops at the next piece when the user speaks over it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
import pybase64

from .._service.checks import RequestError
from ..speech import Speech, silence, synthesize
from .faults import ReplyFaults
from .state import LiveState

_CUT_OFF_MS: Final = 200  # of a reply that is to fail or to stay incomplete


@attrs.define(eq=False)
class _Utterance:
    """
    Words that are spoken.

    Attributes:
        speech: The words and their sound.
        not_before_ms: When it may begin, on the timeline.
        faults: Those of the reply that it belongs to.
        start_ms: When it began; None before.
        sent: Bytes of its sound so far.
        told: Words of it so far.
    """

    speech: Speech
    not_before_ms: float
    faults: ReplyFaults
    start_ms: int | None = None
    sent: int = 0
    told: int = 0

    @property
    def is_over(self) -> bool:
        return self.sent >= len(self.speech.audio)


@attrs.define(eq=False)
class _Fixture:
    """Sound of the client's, which is played instead of the voice."""

    audio: bytes
    on_played: Callable[[], None]
    sent: int = 0


class Voice:
    """
    The voice of one session.

    Args:
        state: The session.
    """

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._format = state.settings.audio_format
        self._queue: deque[_Utterance] = deque()
        self._fixture: _Fixture | None = None

    @property
    def is_playing_fixture(self) -> bool:
        """True while a fixture is played."""
        return self._fixture is not None

    def say(self, text: str, faults: ReplyFaults, delay_ms: float) -> None:
        """Say *text*, after a delay and after all that is to be said before."""
        if text.strip():
            speech = synthesize(text, seed=self._state.progress.seed, audio_format=self._format)
            self._queue.append(_Utterance(speech, self._state.position_ms + delay_ms, faults))

    def stop(self) -> None:
        """Stop speaking: the user has spoken over it. Utterances that haven't begun are said."""
        if self._queue and self._queue[0].start_ms is not None:
            self._queue.popleft()

    def play(self, audio: bytes, on_played: Callable[[], None]) -> None:
        """Play a fixture in the session's format, instead of all that was to be said."""
        self._queue.clear()
        self._fixture = _Fixture(audio, on_played)

    def sound(self, byte_count: int) -> None:
        """Send the next piece of sound; it starts at the session's position."""
        piece, played = self._next(byte_count)
        rest = byte_count - len(piece)
        if rest:
            piece += silence(self._format.duration_ms(rest), audio_format=self._format)
        encoded = pybase64.b64encode(piece).decode()
        self._state.emit_audio(encoded)
        if isinstance(played, _Utterance):
            if played.faults.repeats_audio:
                self._state.emit_audio(encoded)
            self._state.add_steps(played.faults.happen())
            self._end(played)
        elif played is not None and played.sent >= len(played.audio):
            self._fixture = None
            played.on_played()

    def _next(self, byte_count: int) -> tuple[bytes, _Utterance | _Fixture | None]:
        """Return the next sound of something, and the thing; the last piece may be shorter."""
        if self._fixture is not None:
            return self._take(self._fixture.audio, self._fixture, byte_count)
        utterance = self._queue[0] if self._queue else None
        if utterance is None or utterance.not_before_ms > self._state.position_ms:
            return b"", None
        if utterance.start_ms is None:
            utterance.start_ms = self._state.position_ms
        piece = self._take(utterance.speech.audio, utterance, byte_count)
        self._tell_words(utterance)
        return piece

    @staticmethod
    def _take(
        audio: bytes, of: _Utterance | _Fixture, byte_count: int
    ) -> tuple[bytes, _Utterance | _Fixture]:
        piece = audio[of.sent : of.sent + byte_count]
        of.sent += len(piece)
        return piece, of

    def _tell_words(self, utterance: _Utterance) -> None:
        start_ms = utterance.start_ms or 0
        sent_ms = self._format.duration_ms(utterance.sent)
        for word in utterance.speech.words[utterance.told :]:
            if word.start_ms >= sent_ms and not utterance.is_over:
                return
            utterance.told += 1
            self._state.emit(
                "session.output_transcript.delta",
                delta=word.text,
                start_ms=start_ms + word.start_ms,
                end_ms=start_ms + word.end_ms,
            )

    def _end(self, utterance: _Utterance) -> None:
        """Go on with the next utterance, if this one is over or is to break off."""
        ending = utterance.faults.ending
        is_cut = ending is not None and self._format.duration_ms(utterance.sent) >= _CUT_OFF_MS
        if ending is not None and is_cut and ending.status == "failed":
            msg = "The server had an error. (The simulator was told to fail here.)"
            self._state.emit_error(RequestError(msg, code=ending.code, type="server_error"), None)
        if utterance.is_over or is_cut:
            self._queue.popleft()
