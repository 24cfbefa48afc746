"""
The probes: what a client sends to a service whose answers are to be compared.

They ask for answers whose kind doesn't depend on the model's words: text or audio by the
modality, a call by the tool choice, a refusal by a mistake.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from ..speech import speak

Frames: TypeAlias = Sequence[Mapping[str, Any]]
Message: TypeAlias = Mapping[str, Any]


@attrs.frozen
class Send:
    """A message: itself, or a function that makes it of the events so far."""

    message: Message | Callable[[Frames], Message]


@attrs.frozen
class Await:
    """The event that the client waits for, by its type."""

    type: str


@attrs.frozen
class Probe:
    """
    A session with a service.

    Attributes:
        name: Its subject.
        steps: The messages, and the events that are awaited in between.
    """

    name: str
    steps: tuple[Send | Await, ...]


_TOOL: Final = {
    "type": "function",
    "name": "get_weather",
    "description": "Return the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
_DONE: Final = Await("response.done")
_RESPOND: Final = Send({"type": "response.create"})


def _settings(**session: Any) -> tuple[Send, Await]:
    message = {"type": "session.update", "session": {"type": "realtime", **session}}
    return Send(message), Await("session.updated")


def _say(text: str, **item: Any) -> tuple[Send, Await]:
    content = [{"type": "input_text", "text": text}]
    message = {"type": "message", "role": "user", "content": content, **item}
    create = {"type": "conversation.item.create", "item": message}
    return Send(create), Await("conversation.item.done")


def _output(frames: Frames) -> Message:
    """Return the output of the call that was made last."""
    calls = [f for f in frames if f["type"] == "response.function_call_arguments.done"]
    call_id = calls[-1]["call_id"] if calls else "call_none"
    item = {"type": "function_call_output", "call_id": call_id, "output": "12 degrees, fog"}
    return {"type": "conversation.item.create", "item": item}


def _speech() -> tuple[Send | Await, ...]:
    audio = base64.b64encode(speak("Good morning.")).decode()
    return (
        Send({"type": "input_audio_buffer.append", "audio": audio}),
        Send({"type": "input_audio_buffer.commit"}),
        Await("conversation.item.done"),
    )


def _refused(name: str, message: Message) -> Probe:
    return Probe(f"refusal: {name}", (Send(message), Await("error")))


def _update(**session: Any) -> Message:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


_DETECTION: Final = {"type": "server_vad", "create_response": None}

PROBES: Final = (
    Probe(
        "text",
        (*_settings(output_modalities=["text"]), *_say("Say hello."), _RESPOND, _DONE),
    ),
    Probe("audio", (*_settings(), *_say("Say hello in one word."), _RESPOND, _DONE)),
    Probe(
        "tool round",
        (
            *_settings(
                output_modalities=["text"],
                tools=[_TOOL],
                tool_choice={"type": "function", "name": "get_weather"},
            ),
            *_say("How is the weather in Oslo?"),
            _RESPOND,
            _DONE,
            Send(_output),
            Send({"type": "response.create", "response": {"tool_choice": "none"}}),
            _DONE,
        ),
    ),
    Probe(
        "cancelled answer",
        (
            *_settings(),
            *_say("Count aloud from one to a hundred."),
            _RESPOND,
            Await("response.output_audio.delta"),
            Send({"type": "response.cancel"}),
            _DONE,
        ),
    ),
    Probe(
        "committed audio",
        (
            *_settings(
                output_modalities=["text"],
                audio={"input": {"turn_detection": None}},
            ),
            *_speech(),
            _RESPOND,
            _DONE,
        ),
    ),
    Probe(
        "out of band",
        (
            *_settings(output_modalities=["text"]),
            Send(
                {
                    "type": "response.create",
                    "response": {
                        "conversation": "none",
                        "metadata": {"topic": "greeting"},
                        "instructions": "Say hello.",
                        "input": [],
                    },
                }
            ),
            _DONE,
        ),
    ),
    Probe(
        "items",
        (
            *_say("Remember the number 17.", id="item_probe"),
            Send({"type": "conversation.item.retrieve", "item_id": "item_probe"}),
            Await("conversation.item.retrieved"),
            Send({"type": "conversation.item.delete", "item_id": "item_probe"}),
            Await("conversation.item.deleted"),
        ),
    ),
    _refused("unknown type", {"type": "session.begin"}),
    _refused("unknown setting", _update(unknown=1)),
    _refused("unknown voice", _update(audio={"output": {"voice": "nobody"}})),
    _refused("both modalities", _update(output_modalities=["text", "audio"])),
    _refused("null create_response", _update(audio={"input": {"turn_detection": _DETECTION}})),
    _refused(
        "tool choice without a tool", _update(tool_choice={"type": "function", "name": "none"})
    ),
    _refused("nothing to commit", {"type": "input_audio_buffer.commit"}),
    _refused("nothing to cancel", {"type": "response.cancel"}),
    _refused("unknown item", {"type": "conversation.item.delete", "item_id": "item_none"}),
)
"""The probes, in the order of the report."""
