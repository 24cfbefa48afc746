"""
One response: from ``response.created`` to ``response.done``, which always comes.

`Response.perform` goes through the outputs of the scenario's answer. It ends by itself, or at a
piece where something cuts it short (a fault, the limit of its tokens), or in any of its waits,
by `Response.cancel`. However it ends, the item that it was at is closed first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from ...audio._formats import AudioFormat
from ..scenario import Answer
from ..speech import synthesize
from .conversation import Item
from .outputs import CallOutput, Output, SpeechOutput, Stage, TextOutput
from .playout import Playout
from .settings import Settings
from .state import SessionState
from .timers import Process
from .usage import Tokens, input_tokens, usage_object

_FAILURE: Final = (
    "The server had an error while processing your request. Sorry about that! "
    "(The simulator was told to fail here.)"
)


@attrs.frozen
class Order:
    """
    The settings of a response: the session's, with the overrides of ``response.create``.

    Attributes:
        modality: ``audio`` or ``text``.
        audio_format: Of its audio.
        voice: Of its audio; a name, or an object with an id.
        instructions: The system prompt.
        tools: The tools that it may call.
        tool_choice: Whether and which it may, or must.
        max_output_tokens: Or ``inf``.
        in_conversation: Whether its items go into the conversation.
        metadata: The client's, given back as it is.
        items: The model's input: the conversation, or the items that the client gave instead.
    """

    modality: str
    audio_format: AudioFormat
    voice: Any
    instructions: str
    tools: Sequence[Mapping[str, Any]]
    tool_choice: str | Mapping[str, Any]
    max_output_tokens: int | str
    in_conversation: bool
    metadata: Mapping[str, str] | None
    items: Sequence[Item]

    @classmethod
    def of(cls, settings: Settings, overrides: Mapping[str, Any], items: Sequence[Item]) -> Order:
        """Return *settings* with *overrides*, the ``response`` of a client's message."""
        audio = overrides.get("audio", {}).get("output", {})
        modalities = overrides.get("output_modalities")
        tool_choice = overrides.get("tool_choice", settings.tool_choice)
        return cls(
            modality=modalities[0] if modalities else settings.output_modality,
            audio_format=(
                AudioFormat.of(audio["format"]) if "format" in audio else settings.output_format
            ),
            voice=audio.get("voice", settings.voice),
            instructions=overrides.get("instructions", settings.instructions),
            tools=overrides.get("tools", settings.tools) if tool_choice != "none" else (),
            tool_choice=tool_choice,
            max_output_tokens=overrides.get("max_output_tokens", settings.max_output_tokens),
            in_conversation=overrides.get("conversation", "auto") == "auto",
            metadata=overrides.get("metadata"),
            items=items,
        )


class _CutShort(Exception):
    """The response ends after this piece; *details* are its ``status_details``."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(details["type"])
        self.details = details


class Response:
    """
    A response that goes on until it is done.

    Args:
        state: The session.
        order: Its settings.
        answer: Its content.
        cached_tokens: How much of its input an earlier response has read.
        on_done: Called when it is done.
        playout: Plays its audio, where the service does that.
    """

    def __init__(
        self,
        state: SessionState,
        order: Order,
        answer: Answer,
        cached_tokens: int,
        on_done: Callable[[Response], None],
        playout: Playout | None = None,
    ) -> None:
        self.id = state.ids.new("resp")
        self.order = order
        self.began_ms = state.now_ms
        self._state = state
        self._answer = answer
        self._ending = state.faults.ending  # of the response that was begun last: this one
        self._on_done = on_done
        self._playout = playout
        self._outputs: list[Output] = []
        self._open: list[Output] = []
        counted = input_tokens(order.instructions, order.tools, order.items)
        self._input = Tokens(
            text=_first(answer.usage.input_text_tokens, counted.text),
            audio=_first(answer.usage.input_audio_tokens, counted.audio),
            image=counted.image,
        )
        self._cached_tokens = _first(answer.usage.cached_tokens, cached_tokens)

    @property
    def input_tokens(self) -> int:
        """The tokens of its input."""
        return self._input.total

    @property
    def audio_ms(self) -> float:
        """The length of the speech that was sent."""
        return sum(output.audio_ms for output in self._outputs)

    @property
    def has_audio(self) -> bool:
        """True if it has speech."""
        return self.audio_ms > 0

    def begin(self) -> None:
        """Tell that there is a response now."""
        self._state.emit("response.created", response=self._to_dict("in_progress", None))

    def perform(self) -> Process:
        """Go through the outputs of the response, and end it."""
        answer = self._answer
        try:
            yield self._state.wait(answer.pace.first_output_ms, answer.pace)
            for output in self._planned():
                self._outputs.append(output)
                self._open.append(output)
                yield from output.perform()
                if not answer.interleaved:
                    self._close("completed")
            self._close("completed")
            if not self._outputs:
                self._check()
        except _CutShort as end:
            self._finish(end.details["type"], end.details)
        else:
            self._finish("completed", None)

    def cancel(self, reason: Literal["client_cancelled", "turn_detected"]) -> None:
        """End it where it is; its process has to be stopped first."""
        self._finish("cancelled", {"type": "cancelled", "reason": reason})

    def _planned(self) -> list[Output]:
        state, pace = self._state, self._answer.pace
        stage = Stage(
            emit=state.emit,
            response_id=self.id,
            conversation=state.conversation if self.order.in_conversation else None,
            pace=pace,
            wait=lambda duration_ms: state.wait(duration_ms, pace),
            on_piece=self._check,
            on_audio=self._play,
        )
        outputs: list[Output] = []
        if text := self._answer.say:
            if self.order.modality == "audio":
                speech = synthesize(
                    text, seed=state.progress.seed, audio_format=self.order.audio_format
                )
                outputs.append(SpeechOutput(stage, 0, state.new_item_id(), speech))
            else:
                outputs.append(TextOutput(stage, 0, state.new_item_id(), text))
        if self._answer.interleaved:
            for output in outputs:
                output.item.data["phase"] = "commentary"
        for index, call in enumerate(self._answer.calls, len(outputs)):
            call_id = state.ids.new("call")
            outputs.append(CallOutput(stage, index, state.new_item_id(), call_id, call))
        return outputs

    def _play(self, item_id: str, duration_ms: float) -> None:
        if self._playout is not None:
            self._playout.add(self.id, item_id, duration_ms)

    def _check(self) -> None:
        """End the response if this was its last piece."""
        ending = self._ending
        if ending is not None and ending.status == "failed":
            error = {"type": "server_error", "code": ending.code, "message": _FAILURE}
            raise _CutShort({"type": "failed", "error": error})
        if ending is not None:
            raise _CutShort({"type": "incomplete", "reason": ending.code})
        limit = self.order.max_output_tokens
        if isinstance(limit, int) and self._made().total >= limit:
            details = {"type": "incomplete", "reason": "max_output_tokens"}
            raise _CutShort(details)

    def _made(self) -> Tokens:
        return sum((output.tokens() for output in self._outputs), Tokens())

    def _close(self, status: str) -> None:
        while self._open:
            self._open.pop(0).close(status)

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        self._close("incomplete")
        self._state.emit("response.done", response=self._to_dict(status, details))
        if self._playout is not None:
            self._playout.complete(self.id)
        self._on_done(self)

    def _to_dict(self, status: str, details: dict[str, Any] | None) -> dict[str, Any]:
        order = self.order
        is_done = status != "in_progress"
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [output.item.snapshot() for output in self._outputs],
            "conversation_id": self._state.conversation_id if order.in_conversation else None,
            "output_modalities": [order.modality],
            "max_output_tokens": order.max_output_tokens,
            "audio": {"output": {"format": order.audio_format.to_settings(), "voice": order.voice}},
            "usage": self._usage() if is_done else None,
            "metadata": order.metadata,
        }

    def _usage(self) -> dict[str, Any]:
        told, made = self._answer.usage, self._made()
        made = Tokens(
            text=_first(told.output_text_tokens, made.text),
            audio=_first(told.output_audio_tokens, made.audio),
        )
        is_reasoning = self._state.settings.is_reasoning
        reasoning = _first(told.reasoning_tokens, 0) if is_reasoning else told.reasoning_tokens
        return usage_object(self._input, made, self._cached_tokens, reasoning)


def _first(told: int | None, counted: int) -> int:
    return counted if told is None else told
