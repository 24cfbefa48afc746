"""
The listener of a session: makes the user's turns of the audio that comes in.

A turn ends where the detector hears a silence, where the client commits the audio, or where
nobody has said anything for long enough. However it ends, it becomes an item of the conversation,
its transcript follows if the client wants one, and a response follows if the session is set so.

In a transcription session there are no responses, and of the scenario's turns only *hear* counts.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .._vad import SpeechStarted
from ..scenario import Prompt
from .conversation import Item
from .input_audio import InputAudio, decode_audio
from .responder import Responder
from .responses import Response
from .settings import STREAMING_MODEL
from .state import SessionState
from .timers import Process, Timers
from .usage import transcription_usage

_WORD: Final = re.compile(r"\s*\S+")
_WORD_MS: Final = 20  # from one piece of a transcript to the next
_SPOKEN_WORD_MS: Final = 300  # of somebody who speaks
_FAILURE: Final[dict[str, Any]] = {
    "type": "server_error",
    "code": "audio_unintelligible",
    "message": "The audio could not be transcribed. (The simulator was told to fail here.)",
    "param": None,
}


class Listener:
    """
    The listener of one session.

    Args:
        state: The session.
        responder: Answers the user's turns.
        patience: The processes that wait for a silent user.
    """

    def __init__(self, state: SessionState, responder: Responder, patience: Timers) -> None:
        self._state = state
        self._responder = responder
        self._patience = patience
        self._silence: Process | None = None
        settings = state.settings
        self._audio = InputAudio(settings.input_format, settings.turn_detection)
        self._next_item_id: str | None = None  # of the turn that is going on
        self._speech_start_ms = 0
        self._streamed = 0  # words of the turn that is going on, see `_stream_words`

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
        heard_events = self._audio.append(audio)
        if self._is_streaming:
            self._stream_words()
        for heard in heard_events:
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
        """Forget the uncommitted audio."""
        self._audio.clear()
        self._next_item_id = None
        self._streamed = 0
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
        if self._detection["interrupt_response"]:
            if self._responder.active is not None:
                self._responder.cancel(None, "turn_detected")
            if self._responder.playout is not None:
                self._responder.playout.interrupt()

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
        # Silence has no words, and must not use up the scenario's words for the next turn.
        if not is_silence:
            item.words = state.progress.hear(audio, audio_format=item.audio_format)
        self._responder.notice(item)
        if state.settings.transcription is not None and not is_silence:
            fails = state.faults.begin_transcription()
            state.timers.start(self._transcribe(item, self._streamed, fails=fails), state.now_ms)
        self._streamed = 0
        if state.settings.type == "transcription" and not is_silence:
            state.progress.answer(Prompt(text=item.words))  # without a sound, for the next turn

    @property
    def _is_streaming(self) -> bool:
        """True if the words come while they are spoken, as they do of one model."""
        settings = self._state.settings
        model = (settings.transcription or {}).get("model")
        return settings.type == "transcription" and model == STREAMING_MODEL

    def _stream_words(self) -> None:
        """Tell the words of the audio so far; their item will exist when the turn is over."""
        state, audio = self._state, self._audio
        if self._next_item_id is None:
            self._next_item_id = state.new_item_id()
        words = _WORD.findall(state.progress.hear(audio.content, audio_format=audio.audio_format))
        # The last word is known at the end: what there is to hear is not over before.
        heard = min(int(audio.content_ms / _SPOKEN_WORD_MS), len(words) - 1)
        while self._streamed < heard:
            self._emit_delta(self._next_item_id, words[self._streamed])
            self._streamed += 1

    def _emit_delta(self, item_id: str, word: str) -> None:
        self._state.emit(
            "conversation.item.input_audio_transcription.delta",
            item_id=item_id,
            content_index=0,
            delta=word,
            **self._logprobs([word]),
        )

    def _logprobs(self, tokens: list[str]) -> dict[str, Any]:
        if not self._state.settings.has_logprobs:
            return {}
        logprobs = [
            {"token": token, "logprob": -0.05, "bytes": list(token.encode())} for token in tokens
        ]
        return {"logprobs": logprobs}

    def _answer(self) -> None:
        # A response that may not be interrupted goes on, and the turn waits for the next one.
        if self._state.settings.type == "transcription":
            return
        if self._detection["create_response"] and self._responder.active is None:
            self._responder.create({})

    def _transcribe(self, item: Item, streamed: int, *, fails: bool) -> Process:
        state, words = self._state, item.words
        about = {"item_id": item.id, "content_index": 0}
        yield state.wait(state.pace.transcription_ms)
        if fails:
            event = "conversation.item.input_audio_transcription.failed"
            if item.is_linked:
                state.emit(event, **about, error=dict(_FAILURE))
            return
        for word in _WORD.findall(words)[streamed:]:
            if not item.is_linked:
                return  # the client has deleted it
            self._emit_delta(item.id, word)
            yield state.wait(_WORD_MS)
        if item.is_linked:
            item.data["content"][0]["transcript"] = words
            model = (state.settings.transcription or {}).get("model")
            state.emit(
                "conversation.item.input_audio_transcription.completed",
                **about,
                transcript=words,
                usage=transcription_usage(model, words, item.audio_ms),
                **self._logprobs(_WORD.findall(words)),
            )

    # --- what nobody does ---------------------------------------------------------------

    def await_user(self, response: Response) -> None:
        """Wait for the user after *response* is done, for the idle timeout of the session."""
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
