"""
The output of a response: messages in audio, messages in text, calls of tools.

Each kind knows the frames that tell of it, and their order: the item appears, its content
arrives in pieces, the content is done, the item is done. `Output.perform` is that story, with
its waits; `Output.close` is how it ends, also when somebody ends it in the middle.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import attrs
import pybase64

from ..scenario import AnswerCall, Pace
from ..speech import Speech
from .conversation import Conversation, Item
from .timers import Process
from .usage import Tokens, audio_tokens, text_tokens

# The words come before their sound, as they do from the service.
_TRANSCRIPT_LEAD_MS: Final = 400
_ARGUMENTS_PIECE: Final = re.compile(r"\s*\S{1,6}|\s+")
_TEXT_PIECE: Final = re.compile(r"\s*\S+|\s+")


class Emit(Protocol):
    """Puts an event into the stream to the client; *fields* are those beside its type."""

    def __call__(self, type_: str, /, **fields: Any) -> None:
        """Emit an event of the type *type_*."""


@attrs.frozen
class Stage:
    """
    The surroundings of an output.

    Attributes:
        emit: Takes its events.
        response_id: The response that it belongs to.
        conversation: The one that its item is added to; None if it is out of band.
        pace: How fast it comes.
        wait: Makes the milliseconds of a wait from those of the pace.
        on_piece: Called after each piece; may raise to end the response there.
        on_audio: Called with the item's id and the milliseconds of each piece of audio.
    """

    emit: Emit
    response_id: str
    conversation: Conversation | None
    pace: Pace
    wait: Callable[[float], float]
    on_piece: Callable[[], None]
    on_audio: Callable[[str, float], None]


class Output(abc.ABC):
    """
    One item of a response's output.

    Args:
        stage: Where it happens.
        index: Its place in the response's output.
        item: The item, without content.
    """

    def __init__(self, stage: Stage, index: int, item: Item) -> None:
        self.item = item
        self._stage = stage
        self._index = index

    @abc.abstractmethod
    def perform(self) -> Process:
        """Let the item appear and its content arrive; `close` is left to the caller."""

    @abc.abstractmethod
    def tokens(self) -> Tokens:
        """Return its tokens so far."""

    @property
    def audio_ms(self) -> float:
        """The length of the speech that was sent."""
        return 0

    @abc.abstractmethod
    def _end_content(self, *, is_complete: bool) -> None:
        """Tell that no more content comes."""

    def close(self, status: str) -> None:
        """Tell that the item is done: ``completed``, or ``incomplete``."""
        self._end_content(is_complete=status == "completed")
        self.item.data["status"] = status
        stage, item = self._stage, self.item
        # A client may have deleted the item while it was made.
        if stage.conversation is not None and item.is_linked:
            stage.emit(
                "conversation.item.done",
                previous_item_id=stage.conversation.predecessor(item),
                item=item.snapshot(),
            )
        stage.emit(
            "response.output_item.done",
            response_id=stage.response_id,
            output_index=self._index,
            item=item.snapshot(),
        )

    def _open(self) -> None:
        stage, item = self._stage, self.item
        stage.emit(
            "response.output_item.added",
            response_id=stage.response_id,
            output_index=self._index,
            item=item.snapshot(),
        )
        if stage.conversation is not None:
            stage.conversation.add(item)
            stage.emit(
                "conversation.item.added",
                previous_item_id=stage.conversation.predecessor(item),
                item=item.snapshot(),
            )

    def _emit(self, type_: str, **fields: Any) -> None:
        """Emit an event about the item."""
        self._stage.emit(
            type_,
            response_id=self._stage.response_id,
            item_id=self.item.id,
            output_index=self._index,
            **fields,
        )


class _Message(Output):
    """A message of one part, spoken or written."""

    def __init__(self, stage: Stage, index: int, item_id: str) -> None:
        item = Item(
            {
                "id": item_id,
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
        )
        super().__init__(stage, index, item)
        self._said = ""

    def _add_part(self, part: dict[str, Any], announced: dict[str, Any]) -> None:
        self.item.data["content"].append(part)
        self._emit("response.content_part.added", content_index=0, part=announced)


class SpeechOutput(_Message):
    """A spoken message: audio, and its transcript a little ahead."""

    def __init__(self, stage: Stage, index: int, item_id: str, speech: Speech) -> None:
        super().__init__(stage, index, item_id)
        self._speech = speech
        self._sent_ms = 0.0
        self.item.audio_format = speech.audio_format

    def perform(self) -> Process:
        """Send the words and the audio, piece by piece, faster than they are heard."""
        self._open()
        self._add_part(
            {"type": "output_audio", "transcript": ""}, {"type": "audio", "transcript": ""}
        )
        pace, words = self._stage.pace, iter(self._speech.words)
        word = next(words, None)
        for chunk in self._chunks():
            self._sent_ms += self._speech.audio_format.duration_ms(len(chunk))
            while word is not None and word.start_ms < self._sent_ms + _TRANSCRIPT_LEAD_MS:
                self._say(word.text)
                word = next(words, None)
            if not self.item.is_truncated:
                self.item.audio += chunk
            self._emit(
                "response.output_audio.delta",
                content_index=0,
                delta=pybase64.b64encode(chunk).decode(),
            )
            duration_ms = self._speech.audio_format.duration_ms(len(chunk))
            self._stage.on_audio(self.item.id, duration_ms)
            self._stage.on_piece()
            yield self._stage.wait(pace.chunk_ms / pace.generation_speed)
        while word is not None:  # only if words have no sound
            self._say(word.text)
            word = next(words, None)

    @property
    def audio_ms(self) -> float:
        """The length of the speech that was sent."""
        return self._sent_ms

    def tokens(self) -> Tokens:
        """Return the tokens of the audio and of its transcript."""
        return Tokens(text_tokens(self._said), audio_tokens(self._sent_ms, is_user=False))

    def _chunks(self) -> Iterator[bytes]:
        audio = self._speech.audio
        size = max(self._speech.audio_format.byte_count(self._stage.pace.chunk_ms), 2)
        return (audio[start : start + size] for start in range(0, len(audio), size))

    def _say(self, text: str) -> None:
        self._said += text
        if not self.item.is_truncated:
            self.item.data["content"][0]["transcript"] = self._said
        self._emit("response.output_audio_transcript.delta", content_index=0, delta=text)

    def _end_content(self, *, is_complete: bool) -> None:  # noqa: ARG002  # both end alike
        said = self._said
        self._emit("response.output_audio.done", content_index=0)
        self._emit("response.output_audio_transcript.done", content_index=0, transcript=said)
        self._emit(
            "response.content_part.done",
            content_index=0,
            part={"type": "audio", "transcript": said},
        )


class TextOutput(_Message):
    """A written message."""

    def __init__(self, stage: Stage, index: int, item_id: str, text: str) -> None:
        super().__init__(stage, index, item_id)
        self._text = text

    def perform(self) -> Process:
        """Send the text word by word."""
        self._open()
        self._add_part({"type": "output_text", "text": ""}, {"type": "text", "text": ""})
        for piece in _TEXT_PIECE.findall(self._text):
            self._said += piece
            self.item.data["content"][0]["text"] = self._said
            self._emit("response.output_text.delta", content_index=0, delta=piece)
            self._stage.on_piece()
            yield self._stage.wait(self._stage.pace.text_delta_ms)

    def tokens(self) -> Tokens:
        """Return the tokens of the text."""
        return Tokens(text=text_tokens(self._said))

    def _end_content(self, *, is_complete: bool) -> None:  # noqa: ARG002  # both end alike
        said = self._said
        self._emit("response.output_text.done", content_index=0, text=said)
        self._emit(
            "response.content_part.done", content_index=0, part={"type": "text", "text": said}
        )


class CallOutput(Output):
    """A call of a tool."""

    def __init__(
        self, stage: Stage, index: int, item_id: str, call_id: str, call: AnswerCall
    ) -> None:
        item = Item(
            {
                "id": item_id,
                "type": "function_call",
                "status": "in_progress",
                "name": call.tool,
                "call_id": call_id,
                "arguments": "",
            }
        )
        super().__init__(stage, index, item)
        self._arguments = call.arguments

    def perform(self) -> Process:
        """Send the arguments, piece by piece."""
        self._open()
        data = self.item.data
        for piece in _ARGUMENTS_PIECE.findall(self._arguments):
            data["arguments"] += piece
            self._emit(
                "response.function_call_arguments.delta", call_id=data["call_id"], delta=piece
            )
            self._stage.on_piece()
            yield self._stage.wait(self._stage.pace.arguments_delta_ms)

    def tokens(self) -> Tokens:
        """Return the tokens of the name and the arguments."""
        data = self.item.data
        return Tokens(text=text_tokens(data["name"]) + text_tokens(data["arguments"]))

    def _end_content(self, *, is_complete: bool) -> None:
        # Half a call has no arguments that one could call with, so nobody is told to.
        if is_complete:
            data = self.item.data
            self._emit(
                "response.function_call_arguments.done",
                call_id=data["call_id"],
                name=data["name"],
                arguments=data["arguments"],
            )
