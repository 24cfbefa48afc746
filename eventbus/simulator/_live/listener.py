"""
The listener of a GPT-Live session: it hears the user's speech, and tells the words as they come.

There is no turn for the client to see. The model's own ear notices that the user speaks, and that
the user has finished; a few words over the model's speech make it stop.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from .._vad import ServerVad, SpeechStarted, VadSettings
from .state import LiveState

_WORD: Final = re.compile(r"\s*\S+")
_SPOKEN_WORD_MS: Final = 300  # of somebody who speaks
_ONSET_MS: Final = 400  # kept of the audio before speech was noticed: its beginning


class LiveListener:
    """
    The listener of one session.

    Args:
        state: The session.
        vad: The scenario's turn detection.
        on_words: Called when the user has said some words, and goes on.
        on_turn: Called with the words when the user has finished.
    """

    def __init__(
        self,
        state: LiveState,
        vad: VadSettings,
        on_words: Callable[[], None],
        on_turn: Callable[[str], None],
    ) -> None:
        self._state = state
        self._format = state.settings.audio_format
        self._silence_ms = vad.silence_duration_ms
        self._vad = ServerVad(vad, rate=self._format.rate)
        self._on_words = on_words
        self._on_turn = on_turn
        self._speech = bytearray()  # since it began; before that, the last of the silence
        self._start_ms = 0
        self._told_ms = 0  # the end of the words that were told
        self._told = 0
        self._is_unintelligible = False

    def hear(self, audio: bytes) -> None:
        """Take the next audio of the timeline, which ends at the session's position."""
        self._speech += audio
        for event in self._vad.feed(self._format.to_pcm16(audio)):
            if isinstance(event, SpeechStarted):
                self._begin(event.audio_start_ms)
            else:
                self._end(event.audio_end_ms - self._silence_ms)
        if self._vad.is_speech:
            self._tell_words()
        else:
            del self._speech[: -self._format.byte_count(_ONSET_MS)]

    def _begin(self, start_ms: int) -> None:
        self._start_ms = self._told_ms = start_ms
        self._told = 0
        self._is_unintelligible = self._state.faults.begin_transcription()

    def _words(self) -> list[str]:
        audio = bytes(self._speech)
        return _WORD.findall(self._state.progress.hear(audio, audio_format=self._format))

    def _tell_words(self) -> None:
        heard = int((self._state.position_ms - self._start_ms) / _SPOKEN_WORD_MS)
        if heard > self._told:
            words = self._words()
            # The last word is known at the end: what there is to hear is not over before.
            self._tell(words[self._told : min(heard, len(words) - 1)], self._state.position_ms)
            if self._told:
                self._on_words()

    def _end(self, end_ms: int) -> None:
        words = self._words()
        self._tell(words[self._told :], max(end_ms, self._told_ms))
        self._on_turn("".join(words).strip())
        self._speech.clear()

    def _tell(self, words: list[str], until_ms: int) -> None:
        """Tell *words*, which were spoken one after another until a time."""
        self._told += len(words)
        for number, word in enumerate(words, 1):
            start_ms = self._told_ms
            self._told_ms = start_ms + (until_ms - start_ms) * 1 // (len(words) - number + 1)
            if not self._is_unintelligible:
                self._state.emit(
                    "session.input_transcript.delta",
                    delta=word,
                    start_ms=start_ms,
                    end_ms=self._told_ms,
                )
