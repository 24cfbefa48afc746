"""
Who listens: makes the user's turns of the audio that comes in.

A turn ends where the detector hears a silence, where the client commits the audio, or where
nobody has said anything for long enough. However it ends, it becomes an item of the conversation,
its transcript follows if the client wants one, and a response follows if the session is set so.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .._vad import SpeechStarted
from .conversation import Item
from .input_audio import InputAudio, decode_audio
from .responder import Responder
from .responses import Response
from .state import SessionState
from .timers import Agenda, Process

__all__ = ["Listener"]

_WORD: Final = re.compile(r"\s*\S+")
_WORD_MS: Final = 20  # from one piece of a transcript to the next
_FAILURE: Final[dict[str, Any]] = {
    "type": "server_error",
    "code": "audio_unintelligible",
    "message": "The audio could not be transcribed. (The simulator was told to fail here.)",
    "param": None,
}


class Listener:
    """
    The ear of one session.

    Args:
        state: The session.
        responder: Answers the user's turns.
        patience: Where it waits for a user who says nothing.
    """

    def __init__(self, state: SessionState, responder: Responder, patience: Agenda) -> None:
        self._state = state
        self._responder = responder
        self._patience = patience
        self._silence: Process | None = None
        settings = state.settings
        self._audio = InputAudio(settings.input_format, settings.turn_detection)
        self._next_item_id: str | None = None  # of the turn that is going on
        self._speech_start_ms = 0

    def configure(self) -> None:
        """Take the session's settings, as they are now."""
        settings = self._state.settings
        self._audio.configure(settings.input_format, settings.turn_detection)
        if not self._audio.is_speech:
            self._next_item_id = None
        if not self._idle_timeout_ms:
            self.stop_waiting()

    # --- what the client does -----------------------------------------------------------

    def append(self, data: str) -> None:
        """
        Listen to more audio, in base64.

        Raises:
            RequestError: It is no audio, or too much.
        """
        audio = decode_audio(data, self._state.settings.input_format, "audio")
        for heard in self._audio.append(audio):
            if isinstance(heard, SpeechStarted):
                self._start_speech(self._audio.to_session_ms(heard.audio_start_ms))
            else:
                self._stop_speech(self._audio.to_session_ms(heard.audio_end_ms))

    def commit(self) -> None:
        """
        End the user's turn here.

        Raises:
            RequestError: Nothing was said, or next to nothing.
        """
        self._add_turn(self._audio.commit())

    def clear(self) -> None:
        """Forget what wasn't committed."""
        self._audio.clear()
        self._next_item_id = None
        self._state.emit("input_audio_buffer.cleared")

    # --- what the user does -------------------------------------------------------------

    def _start_speech(self, audio_start_ms: int) -> None:
        self.stop_waiting()
        self._speech_start_ms = audio_start_ms
        self._next_item_id = self._state.new_item_id()
        self._state.emit(
            "input_audio_buffer.speech_started",
            audio_start_ms=audio_start_ms,
            item_id=self._next_item_id,
        )
        if self._detection["interrupt_response"] and self._responder.active is not None:
            self._responder.cancel(None, "turn_detected")

    def _stop_speech(self, audio_end_ms: int) -> None:
        self._state.emit(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=audio_end_ms,
            item_id=self._next_item_id,
        )
        self._add_turn(self._audio.take(self._speech_start_ms, audio_end_ms))
        self._answer()

    def _add_turn(self, audio: bytes, *, is_silence: bool = False) -> None:
        """Make an item of *audio*, and transcribe it."""
        state = self._state
        item_id = self._next_item_id or state.new_item_id()
        self._next_item_id = None
        item = Item(
            {
                "id": item_id,
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_audio", "transcript": None}],
            },
            bytearray(audio),
            self._audio.audio_format,
        )
        state.emit(
            "input_audio_buffer.committed",
            previous_item_id=state.conversation.last_id(),
            item_id=item_id,
        )
        state.add_item(item)
        # Silence has no words, and must not use up those that the scenario has for the next turn.
        if not is_silence:
            item.words = state.progress.hear(audio, audio_format=item.audio_format)
        self._responder.notice(item)
        if state.settings.is_transcribing and not is_silence:
            fails = state.faults.begin_transcription()
            state.agenda.start(self._transcribe(item, fails=fails), state.now_ms)

    def _answer(self) -> None:
        # A response that may not be interrupted goes on, and the turn waits for the next one.
        if self._detection["create_response"] and self._responder.active is None:
            self._responder.create({})

    def _transcribe(self, item: Item, *, fails: bool) -> Process:
        state, words = self._state, item.words
        about = {"item_id": item.id, "content_index": 0}
        yield state.wait(state.pace.transcription_ms)
        if fails:
            event = "conversation.item.input_audio_transcription.failed"
            if item.is_linked:
                state.emit(event, **about, error=dict(_FAILURE))
            return
        for word in _WORD.findall(words):
            if not item.is_linked:
                return  # the client has deleted it
            state.emit("conversation.item.input_audio_transcription.delta", **about, delta=word)
            yield state.wait(_WORD_MS)
        if item.is_linked:
            item.data["content"][0]["transcript"] = words
            usage = {"type": "duration", "seconds": round(item.audio_ms / 1000, 2)}
            state.emit(
                "conversation.item.input_audio_transcription.completed",
                **about,
                transcript=words,
                usage=usage,
            )

    # --- what nobody does ---------------------------------------------------------------

    def await_user(self, response: Response) -> None:
        """Wait for the user, who hears *response*, which is done; as long as the session says."""
        timeout_ms = self._idle_timeout_ms
        if timeout_ms and not self._audio.is_speech:
            self.stop_waiting()
            # Audio comes faster than it is heard; the user's silence begins when that has ended.
            heard_ms = max(response.began_ms + response.audio_ms, self._state.now_ms)
            self._silence = self._be_patient(heard_ms - self._state.now_ms + timeout_ms)
            self._patience.start(self._silence, self._state.now_ms)

    def _be_patient(self, duration_ms: float) -> Process:
        yield duration_ms
        if self._responder.active is not None or self._audio.is_speech:
            return
        end_ms = self._audio.position_ms
        start_ms = max(end_ms - self._idle_timeout_ms, self._audio.start_ms)
        self._next_item_id = self._state.new_item_id()
        self._state.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=self._next_item_id,
        )
        self._add_turn(self._audio.take(start_ms, end_ms), is_silence=True)
        self._responder.create({})

    def stop_waiting(self) -> None:
        """Wait no longer for the user: something has happened."""
        if self._silence is not None:
            self._patience.stop(self._silence)
            self._silence = None

    @property
    def _detection(self) -> dict[str, Any]:
        return dict(self._state.settings.turn_detection or {})

    @property
    def _idle_timeout_ms(self) -> int:
        return self._detection.get("idle_timeout_ms") or 0
