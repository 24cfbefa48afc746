"""
The client's messages of the GPT-Live protocol.

Pure: requests and settings in, messages out. Settings have the names that they have for the
Realtime protocol. One that GPT-Live lacks is refused, as its service would refuse the session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from ...audio._formats import AudioFormat
from ...exceptions import NotSupported
from ...items import AssistantMessageItem, RealtimeItem, RealtimeToolCallItem, SystemMessageItem
from ..inputs import RealtimeModelUserInput
from ..transport._outbox import OutgoingMessage
from ._messages import appending, merge_nested, outgoing, session_of

SERVICE: Final = "GPT-Live"

DEFAULT_LIVE_MODEL: Final = "gpt-live-1"
"""The model of GPT-Live, where the settings name none."""

DEFAULT_BACKEND: Final = "gpt-6-sol"
"""The Responses model that does delegated work, unless another one is given."""

APPEND: Final = "session.input_audio.append"

MAX_CONTENT_TOKENS: Final = 500
MAX_INPUT_ITEMS: Final = 128
_MAX_INPUT_TOKENS: Final = 8_192
_WORDS: Final = re.compile(r"\s*\S+|\s+")
_ITEM_TOKENS: Final = 8  # of each item, beyond those of its text

# Settings of a Realtime session that GPT-Live doesn't have, and why.
_LACKING: Final[Mapping[str, str]] = {
    "turn_detection": "it takes turns by itself",
    "noise_reduction": "it has no such setting",
    "speed": "it has no such setting",
    "prompt": "it has no stored prompts",
    "tracing": "it has no such setting",
    "truncation": "it compacts the conversation by itself",
    "include": "it has no such setting",
}

# Settings of the Responses model that delegated work is for.
_OF_BACKEND: Final = (
    *("tools", "tool_choice", "parallel_tool_calls", "reasoning", "max_output_tokens"),
)


# --- settings --------------------------------------------------------------------------------


def start_message(
    settings: Mapping[str, Any], backend: str | None, history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """
    Return the message that starts a session.

    Args:
        settings: The session's settings.
        backend: The Responses model for delegated work; None leaves that to the application.
        history: The conversation before it, see `history_of`.

    Raises:
        AudioFormatError: A format is not a known one.
        NotSupported: GPT-Live lacks a setting.
    """
    known = _known(settings)
    session: dict[str, Any] = {
        "model": settings.get("model_name") or DEFAULT_LIVE_MODEL,
        "delegation": {"type": "client"},
    }
    if known.get("instructions"):
        session["instructions"] = known["instructions"]
    audio = _audio_of(known)
    if audio:
        session["audio"] = audio
    if has_backend(settings, backend):
        responses = {"model": backend, **backend_settings(settings)}
        if known.get("instructions"):
            responses["instructions"] = known["instructions"]
        session["delegation"] = {"type": "responses", "responses": responses}
    elif known.get("tools"):
        _require_backend("tools", is_there=False)
    if history:
        session["input"] = list(history)
    extra = settings.get("extra_settings") or {}
    return {"type": "session.start", "session": merge_nested(session, extra)}


def has_backend(settings: Mapping[str, Any], backend: str | None) -> bool:
    """Return whether a Responses model does the delegated work of a session."""
    given = (settings.get("extra_settings") or {}).get("delegation") or {}
    kind = given.get("type", "client" if backend is None else "responses")
    return bool(kind == "responses")


def _require_backend(feature: str, *, is_there: bool) -> None:
    if is_there:
        return
    msg = (
        f"Without a Responses model for delegated work GPT-Live has no {feature}; give "
        f"GPTLiveModel a backend, or leave {feature} out."
    )
    raise NotSupported(msg, service=SERVICE, feature=feature)


def _known(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *settings* as a Realtime session has them, without any that GPT-Live lacks."""
    session = session_of({**settings, "extra_settings": {}})
    audio: Mapping[str, Any] = session.get("audio") or {}
    flat = {**session, **audio.get("input", {}), **audio.get("output", {})}
    for name, why in _LACKING.items():
        # Turn detection that is off would leave it to the application.
        if flat.get(name) is not None or (name == "turn_detection" and name in flat):
            msg = f"GPT-Live has no {name}: {why}. Leave it out."
            raise NotSupported(msg, service=SERVICE, feature=name)
    modalities = session.get("output_modalities")
    if modalities and "audio" not in modalities:
        msg = "GPT-Live speaks, and has no text output; leave out output_modalities."
        raise NotSupported(msg, service=SERVICE, feature="output_modalities")
    return session


def _audio_of(session: Mapping[str, Any]) -> dict[str, Any]:
    sides = [session.get("audio", {}).get(side) or {} for side in ("input", "output")]
    formats = [AudioFormat.of(side["format"]) for side in sides if side.get("format")]
    if len(set(formats)) > 1:
        msg = "GPT-Live has one audio format for both sides; give the same one twice."
        raise NotSupported(msg, service=SERVICE, feature="audio")
    audio: dict[str, Any] = {}
    for audio_format in formats[:1]:
        audio["format"] = {"type": audio_format.encoding, "rate": audio_format.rate}
    if sides[1].get("voice") is not None:
        audio["output"] = {"voice": sides[1]["voice"]}
    return audio


def backend_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *settings* that are for the Responses model."""
    given = {name: settings[name] for name in _OF_BACKEND if settings.get(name) is not None}
    if given.get("max_output_tokens") == "inf":
        del given["max_output_tokens"]
    if "tools" in given:
        given["tools"] = list(given["tools"])
    return given


def update_messages(
    before: Mapping[str, Any], changes: Mapping[str, Any], backend: str | None
) -> list[dict[str, Any]]:
    """
    Return the messages that change a session's settings.

    Args:
        before: The settings so far.
        changes: The settings that change.
        backend: The Responses model, if there is one.

    Raises:
        NotSupported: A setting can't change while a session lasts.
    """
    _known(changes)
    for name, old, new in (
        ("model_name", before.get("model_name"), changes.get("model_name")),
        ("audio", _audio_of(_known(before)), {**_audio_of(_known(changes))} or None),
    ):
        if new is not None and new != old:
            msg = f"{name} of a GPT-Live session can't change while it lasts; connect again."
            raise NotSupported(msg, service=SERVICE, feature=name)
    messages = []
    responses = backend_settings(changes)
    is_delegated = has_backend({**before, **changes}, backend)
    if responses:
        _require_backend(next(iter(responses)), is_there=is_delegated)
    if changes.get("instructions") and is_delegated:
        responses["instructions"] = changes["instructions"]
    session: dict[str, Any] = {}
    if responses:
        session["delegation"] = {"type": "responses", "responses": responses}
    session = merge_nested(session, changes.get("extra_settings") or {})
    if session:
        messages.append({"type": "session.update", "session": session})
    pieces = _pieces(changes.get("instructions") or "")
    return [*messages, *(append_text("instructions", piece, None) for piece in pieces)]


def _pieces(text: str) -> Iterator[str]:
    """Yield *text* in pieces that a message can have, cut between words."""
    piece = ""
    for word in _WORDS.findall(text):
        if piece and tokens_of(piece + word) > MAX_CONTENT_TOKENS:
            yield piece
            piece = ""
        piece += word
    if piece.strip():
        yield piece


# --- messages --------------------------------------------------------------------------------


append_audio: Final = appending(APPEND)
"""Returns the message that appends audio to the user's."""


def append_text(kind: str, content: str, delegation_id: str | None) -> dict[str, Any]:
    """
    Return the message that appends a commentary, instructions or thinking.

    Raises:
        TypeError: *content* is not a text.
    """
    if not isinstance(content, str):
        msg = f"content= is a text, not {type(content).__qualname__}."
        raise TypeError(msg)
    return {
        "type": f"session.{kind}.append",
        "content": content,
        "delegation_id": delegation_id,
    }


def user_item(user_input: RealtimeModelUserInput, *, is_delegated: bool) -> Mapping[str, Any]:
    """
    Return the item of what the user typed.

    Raises:
        NotSupported: No backend would answer it.
    """
    _require_backend("typed messages", is_there=is_delegated)
    if not isinstance(user_input, str):
        return user_input
    return {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": user_input}],
    }


def user_messages(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Yield the messages that let the backend answer what the user typed.

    The voice is told the words, too: without them it may leave an answer unsaid.
    """
    words = " ".join(part["text"] for part in item["content"] if part["type"] == "input_text")
    context = f"The user typed: {words}"
    if words and tokens_of(context) <= MAX_CONTENT_TOKENS:
        yield append_text("thinking", context, None)
    yield {"type": "response.item.create", "item": item}
    yield {"type": "response.create"}


def output_message(call_id: str, output: str) -> dict[str, Any]:
    """Return the message that gives the backend a tool's output."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return {"type": "response.item.create", "item": item}


def outlives_session(message: Mapping[str, Any]) -> bool:
    """Return whether *message*, which was not sent, makes sense in another session."""
    kind = message["type"]
    if kind == "response.item.create":
        return bool(message["item"].get("type") == "message")
    is_text = kind.endswith(".append") and "delegation_id" in message
    return kind == "response.create" or (is_text and message["delegation_id"] is None)


def sent(message: Mapping[str, Any]) -> OutgoingMessage:
    """
    Return *message* as it is sent.

    Raises:
        TypeError: Something in it can't be JSON.
    """
    return attrs.evolve(outgoing(message), outlives_session=outlives_session(message))


def tokens_of(text: str) -> int:
    """Return an upper estimate of the tokens of *text*."""
    return -(-len(text.encode()) // 3)


# --- the conversation so far -------------------------------------------------------------------


def history_of(items: Sequence[RealtimeItem]) -> tuple[list[dict[str, Any]], list[str]]:
    """
    Return the conversation as a session can be started with, and the ids of the items in it.

    Texts only: a tool call is told in words. The newest items are kept within the limits.
    """
    told: list[dict[str, Any]] = []
    ids: list[str] = []
    tokens = 0
    for item in reversed(items):
        messages = list(_told(item))
        tokens += sum(tokens_of(each["content"][0]["text"]) + _ITEM_TOKENS for each in messages)
        if len(told) + len(messages) > MAX_INPUT_ITEMS or tokens > _MAX_INPUT_TOKENS:
            break
        told[:0] = messages
        if messages:
            ids.insert(0, item.item_id)
    return told, ids


def _told(item: RealtimeItem) -> Iterator[dict[str, Any]]:
    if isinstance(item, RealtimeToolCallItem):
        yield _message("assistant", f"Called {item.name} with {item.arguments}.")
        if item.output is not None:
            yield _message("user", f"Result of {item.name}: {item.output}")
        return
    words = " ".join(text for part in item.content if (text := getattr(part, "text", None)))
    if words.strip():
        is_system = isinstance(item, SystemMessageItem)
        role = "assistant" if isinstance(item, AssistantMessageItem) else "user"
        yield _message("developer" if is_system else role, words)


def _message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
