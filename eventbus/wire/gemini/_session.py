"""
The state of a session with Gemini Live: the model's turn, the user's item, and their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ..._fast_init import constructor
from ...events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from ...items import AssistantAudio, AssistantMessageItem, AssistantText
from .._frames import ReadOnlyDict
from ._audio import DEFAULT_FORMAT, AudioFormat, AudioLayout

Events: TypeAlias = list[RealtimeModelEvent]
"""The events of a frame so far."""

NOTHING: Final[ReadOnlyDict[str, Any]] = ReadOnlyDict()
"""The additional fields of most objects."""

SIGNALS: Final = ("voiceActivity", "voiceActivityDetectionSignal")
"""The messages that say that the user speaks."""

_ENDS: Final = ("audio", "transcript", "text")

_new_turn_started = constructor(RealtimeModelTurnStartedEvent)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)
_new_audio_done = constructor(RealtimeModelAudioDoneEvent)
_new_transcript_done = constructor(RealtimeModelTranscriptDoneEvent)
_new_text_done = constructor(RealtimeModelOutputTextDoneEvent)
_new_message = constructor(AssistantMessageItem)
_new_audio_part = constructor(AssistantAudio)
_new_text_part = constructor(AssistantText)
_new_turn_ended = constructor(RealtimeModelTurnEndedEvent)
_new_input_completed = constructor(RealtimeModelInputAudioTranscriptionCompletedEvent)


class Turn:
    """
    The model's latest turn.

    Attributes:
        number: The number of it, from 1; 0 before the first.
        is_open: Whether it goes on.
        is_interrupted: Whether the user has interrupted it.
        response_id: The id of its response.
        item_id: The id of the model's item in it.
        transcript: The pieces of the transcript so far.
        text: The pieces of the text so far.
        has_audio: Whether audio of it has come.
        undone: What has come since its last end was told: ``audio``, ``transcript``, ``text``.
    """

    __slots__ = (
        "has_audio",
        "is_interrupted",
        "is_open",
        "item_id",
        "number",
        "response_id",
        "text",
        "transcript",
        "undone",
    )

    def __init__(self, number: int, prefix: str) -> None:
        self.number = number
        self.response_id = f"{prefix}-r{number}"
        self.item_id = f"{prefix}-a{number}"
        self.is_open = number > 0
        self.is_interrupted = False
        self.transcript: list[str] = []
        self.text: list[str] = []
        self.has_audio = False
        self.undone: set[str] = set()

    def finish(self, events: Events) -> None:
        """Add the ends of the audio and the texts that have come."""
        undone, self.undone = self.undone, set()
        if "audio" in undone:
            events.append(_new_audio_done(self.item_id, 0))
        if "transcript" in undone:
            words = "".join(self.transcript)
            events.append(_new_transcript_done(self.item_id, words, self.response_id))
        if "text" in undone:
            events.append(_new_text_done(self.item_id, "".join(self.text), self.response_id))

    def item(self, *, is_complete: bool) -> AssistantMessageItem | None:
        """Return the model's item; None if it has said nothing."""
        parts: list[AssistantAudio | AssistantText] = []
        if self.has_audio or self.transcript:
            words = "".join(self.transcript) if self.transcript else None
            parts.append(_new_audio_part(None, words, NOTHING))
        if self.text:
            parts.append(_new_text_part("".join(self.text), NOTHING))
        if not parts:
            return None
        status = "completed" if is_complete else "incomplete"
        return _new_message(self.item_id, tuple(parts), None, status, NOTHING)


class User:
    """
    The user's latest item.

    Attributes:
        number: The number of it, from 1; 0 before the first.
        item_id: Its id.
        is_open: Whether transcripts belong to it.
        words: The pieces of its transcript so far.
        speaks: The message that said that the user speaks, which also says when that ends; empty
            if the user doesn't.
        is_next: Whether the speech began during the model's turn, so that the next one answers it.
    """

    __slots__ = ("is_next", "is_open", "item_id", "number", "speaks", "words")

    def __init__(self) -> None:
        self.number = 0
        self.item_id = ""
        self.is_open = False
        self.words: list[str] = []
        self.speaks = ""
        self.is_next = False


class GeminiSession:
    """
    The state that decoding the next frame of a session needs.

    Attributes:
        prefix: The beginning of its ids.
        turn: The model's turn.
        user: The user's item.
        calls: The number of tool calls.
        format: The format of the model's audio, as the events have told it.
        mime_type: The latest ``mimeType`` that has named it.
        layout: The form of the latest frame of audio.
    """

    __slots__ = ("calls", "format", "layout", "mime_type", "prefix", "turn", "user")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.turn = Turn(0, prefix)
        self.user = User()
        self.calls = 0
        self.format: AudioFormat = DEFAULT_FORMAT
        self.mime_type: object = None
        self.layout = AudioLayout()

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data; the words of what is open are content."""
        turn, user = self.turn, self.user
        return {
            "audio": {"type": self.format[0], "rate": self.format[1]},
            "calls": self.calls,
            "turn": {
                "number": turn.number,
                "is_open": turn.is_open,
                "is_interrupted": turn.is_interrupted,
                "has_audio": turn.has_audio,
                "undone": {name: name in turn.undone for name in _ENDS},
                "transcript": list(turn.transcript) if turn.is_open else [],
                "text": list(turn.text) if turn.is_open else [],
            },
            "user": {
                "number": user.number,
                "is_open": user.is_open,
                "is_next": user.is_next,
                "speaks": {name: name == user.speaks for name in SIGNALS},
                "words": list(user.words),
            },
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take the place of the one that was saved."""
        self.format = saved["audio"]["type"], saved["audio"]["rate"]
        self.calls = saved["calls"]
        was = saved["turn"]
        self.turn = turn = Turn(was["number"], self.prefix)
        turn.is_open, turn.is_interrupted = was["is_open"], was["is_interrupted"]
        turn.has_audio = was["has_audio"]
        turn.undone = {name for name in _ENDS if was["undone"][name]}
        turn.transcript, turn.text = list(was["transcript"]), list(was["text"])
        was = saved["user"]
        user = self.user
        user.number, user.is_open, user.is_next = was["number"], was["is_open"], was["is_next"]
        user.item_id = f"{self.prefix}-u{user.number}"
        user.speaks = next((name for name in SIGNALS if was["speaks"][name]), "")
        user.words = list(was["words"])

    # --- the model's turn -------------------------------------------------------------------

    def open_turn(self, events: Events) -> Turn:
        """Return the open turn; begin one if there is none."""
        turn = self.turn
        if not turn.is_open:
            self.turn = turn = Turn(turn.number + 1, self.prefix)
            events.append(_new_turn_started(turn.response_id))
        return turn

    def end_turn(
        self,
        events: Events,
        status: str,
        error: RealtimeError | None = None,
        *,
        more_expected: bool = False,
    ) -> None:
        """End the open turn; one that there is not begins and ends."""
        turn = self.open_turn(events)
        turn.is_open = False
        self.layout.place = None
        user = self.user
        if not (user.is_next or user.speaks):
            self.complete_user(events)
        user.is_next = False
        turn.finish(events)
        item = turn.item(is_complete=status == "completed")
        if item is not None:
            events.append(_new_item_updated(item))
        events.append(_new_turn_ended(turn.response_id, status, error, False, more_expected))

    # --- the user's item --------------------------------------------------------------------

    def begin_user(self) -> str:
        """Begin the user's next item, and return its id."""
        user = self.user
        user.number += 1
        user.item_id = item_id = f"{self.prefix}-u{user.number}"
        user.is_open = True
        user.words = []
        user.is_next = False
        return item_id

    def complete_user(self, events: Events) -> None:
        """Complete the transcript of the user's item, if there is one."""
        user = self.user
        if user.is_open and user.words:
            user.is_open = False
            words, user.words = "".join(user.words), []
            events.append(_new_input_completed(user.item_id, words))
