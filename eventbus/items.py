"""
The conversation items that events carry.

Names and fields are those of the openai-agents SDK (`agents.realtime.items`).
Fields that a vendor adds to an item or a part are kept in ``extra``.

They have no room for weak references, which lets `eventbus.wire` make them
faster (see ``eventbus._fast_init``); the events that carry them have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

__all__ = [
    "AssistantAudio",
    "AssistantMessageItem",
    "AssistantText",
    "ContentPart",
    "HeardAudio",
    "InputAudio",
    "InputImage",
    "InputText",
    "RealtimeItem",
    "RealtimeMessageItem",
    "RealtimeToolCallItem",
    "SystemMessageItem",
    "UserMessageItem",
]


def _extra() -> Any:
    """Return the field for the values that a vendor sent and the class doesn't name."""
    return attrs.field(factory=dict, kw_only=True, hash=False, repr=lambda d: f"<{len(d)} fields>")


def _base64_repr(value: str | None) -> str:
    return "None" if value is None else f"<{len(value)} base64 characters>"


def _as_tuple(parts: Iterable[Any]) -> tuple[Any, ...]:
    # Not `tuple` itself: mypy can't bind its type variable in a converter, and refuses lists.
    return tuple(parts)


@attrs.frozen(weakref_slot=False)
class InputText:
    """
    Text that the user or the system put into the conversation.

    Attributes:
        extra: Other fields that the vendor sent, by name.
    """

    text: str | None = None
    type: Literal["input_text"] = "input_text"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class InputAudio:
    """
    Speech of the user.

    Attributes:
        audio: Base64 of the audio in the session's input format; usually absent.
        transcript: The words, once the service has transcribed them.
        extra: Other fields that the vendor sent, by name.
    """

    audio: str | None = attrs.field(default=None, repr=_base64_repr)
    transcript: str | None = None
    type: Literal["input_audio"] = "input_audio"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class InputImage:
    """
    A picture that the user showed.

    Attributes:
        image_url: A ``data:`` or ``https:`` URL.
        detail: How closely the model looks: ``auto``, ``low`` or ``high``.
        extra: Other fields that the vendor sent, by name.
    """

    image_url: str | None = attrs.field(
        default=None, repr=lambda url: "None" if url is None else f"<URL of {len(url)} characters>"
    )
    detail: str | None = None
    type: Literal["input_image"] = "input_image"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class AssistantText:
    """
    Text that the model wrote.

    Attributes:
        extra: Other fields that the vendor sent, by name.
    """

    text: str | None = None
    type: Literal["text"] = "text"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class HeardAudio:
    """
    The part of the model's speech that the user heard before it was cut off.

    Attributes:
        audio_end_ms: Milliseconds of the audio that were heard.
        transcript: The words heard; None if that isn't known, not even as an estimate.
        is_estimate: Whether *transcript* is estimated by time: the service didn't say it.
    """

    audio_end_ms: int
    transcript: str | None = None
    is_estimate: bool = True


@attrs.frozen(weakref_slot=False)
class AssistantAudio:
    """
    The model's speech.

    Attributes:
        audio: Base64 of the audio in the session's output format; usually absent.
        transcript: The words generated, as far as they are known, heard or not.
        extra: The vendor's other fields, by name.
        heard: The part that was heard, if the speech was cut off; None if it wasn't. Set in the
            history of a `eventbus.realtime.RealtimeSession`.
    """

    audio: str | None = attrs.field(default=None, repr=_base64_repr)
    transcript: str | None = None
    type: Literal["audio"] = "audio"
    extra: Mapping[str, Any] = _extra()
    heard: HeardAudio | None = attrs.field(default=None, kw_only=True)

    @property
    def heard_words(self) -> str | None:
        """The words that the user heard: all of them, unless the speech was cut off."""
        return self.transcript if self.heard is None else self.heard.transcript


@attrs.frozen(weakref_slot=False)
class SystemMessageItem:
    """
    A message from the application to the model.

    Attributes:
        previous_item_id: The item that this one follows, if the service said so.
        status: The item's status, if the service said so.
        extra: Other fields that the vendor sent, by name.
    """

    item_id: str
    content: tuple[InputText, ...] = attrs.field(default=(), converter=_as_tuple)
    previous_item_id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    role: Literal["system"] = "system"
    type: Literal["message"] = "message"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class UserMessageItem:
    """
    A message from the user to the model.

    Attributes:
        previous_item_id: The item that this one follows, if the service said so.
        status: The item's status, if the service said so.
        extra: Other fields that the vendor sent, by name.
    """

    item_id: str
    content: tuple[InputText | InputAudio | InputImage, ...] = attrs.field(
        default=(), converter=_as_tuple
    )
    previous_item_id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    role: Literal["user"] = "user"
    type: Literal["message"] = "message"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class AssistantMessageItem:
    """
    A message from the model.

    Attributes:
        previous_item_id: The item that this one follows, if the service said so.
        status: How far the model is with it.
        extra: Other fields that the vendor sent, by name.
    """

    item_id: str
    content: tuple[AssistantText | AssistantAudio, ...] = attrs.field(
        default=(), converter=_as_tuple
    )
    previous_item_id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    role: Literal["assistant"] = "assistant"
    type: Literal["message"] = "message"
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(weakref_slot=False)
class RealtimeToolCallItem:
    """
    A call of a tool, and its output once there is one.

    Attributes:
        call_id: The id that the output names to answer this call.
        arguments: The arguments as JSON text, as the model wrote it.
        status: ``completed`` once the output is there, not once the call is.
        previous_item_id: The item that this one follows, if the service said so.
        extra: Other fields that the vendor sent, by name.
    """

    item_id: str
    call_id: str | None
    name: str
    arguments: str
    status: Literal["in_progress", "completed"] = "in_progress"
    output: str | None = None
    previous_item_id: str | None = None
    type: Literal["function_call"] = "function_call"
    extra: Mapping[str, Any] = _extra()


ContentPart: TypeAlias = InputText | InputAudio | InputImage | AssistantText | AssistantAudio
RealtimeMessageItem: TypeAlias = SystemMessageItem | UserMessageItem | AssistantMessageItem
RealtimeItem: TypeAlias = RealtimeMessageItem | RealtimeToolCallItem
