"""
The requests that can be sent to a model; they are not events.

Names and fields are those of the openai-agents SDK (``agents.realtime.model_inputs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

import attrs

from ..events import RealtimeModelToolCallEvent
from .settings import RealtimeSessionModelSettings

__all__ = [
    "RealtimeModelInputImageContent",
    "RealtimeModelInputTextContent",
    "RealtimeModelRawClientMessage",
    "RealtimeModelSendAudio",
    "RealtimeModelSendEvent",
    "RealtimeModelSendInterrupt",
    "RealtimeModelSendRawMessage",
    "RealtimeModelSendSessionUpdate",
    "RealtimeModelSendToolOutput",
    "RealtimeModelSendUserInput",
    "RealtimeModelUserInput",
    "RealtimeModelUserInputMessage",
]


class RealtimeModelRawClientMessage(TypedDict):
    """
    A message in the service's own words.

    Attributes:
        other_data: The message's other fields.
    """

    type: str
    other_data: NotRequired[Mapping[str, Any]]


class RealtimeModelInputTextContent(TypedDict):
    """Text from the user."""

    type: Literal["input_text"]
    text: str


class RealtimeModelInputImageContent(TypedDict):
    """
    A picture from the user.

    Attributes:
        image_url: A ``data:`` or ``https:`` URL.
        detail: The resolution at which the model looks: ``auto``, ``low`` or ``high``.
    """

    type: Literal["input_image"]
    image_url: str
    detail: NotRequired[str]


class RealtimeModelUserInputMessage(TypedDict):
    """A message from the user, in several parts."""

    type: Literal["message"]
    role: Literal["user"]
    content: Sequence[RealtimeModelInputTextContent | RealtimeModelInputImageContent]


RealtimeModelUserInput: TypeAlias = str | RealtimeModelUserInputMessage
"""A message of the user; a string is one of that text."""


# The values are the callers' words, so an error names their types only.


def _check_user_input(_request: object, _attribute: object, given: Any) -> None:
    if isinstance(given, str):
        return
    content = given.get("content") if isinstance(given, Mapping) else None
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        if all(isinstance(part, Mapping) for part in content):
            return
        problem = "a message whose content has something else than mappings"
    elif isinstance(given, Mapping):
        problem = f"a message whose content is of type {type(content).__qualname__}"
    else:
        problem = type(given).__qualname__
    msg = (
        f"user_input= is a text, or a message like {{'type': 'message', 'role': 'user', 'content': "
        f"[{{'type': 'input_text', 'text': 'Hello'}}]}}; not {problem}."
    )
    raise TypeError(msg)


def _check_raw_message(_request: object, _attribute: object, given: Any) -> None:
    if not isinstance(given, Mapping):
        msg = (
            f"message= is a mapping like {{'type': 'input_audio_buffer.clear'}}, not "
            f"{type(given).__qualname__}."
        )
        raise TypeError(msg)


def _check_output(_request: object, _attribute: object, given: Any) -> None:
    if not isinstance(given, str):
        msg = f"output= is a text, usually JSON, not {type(given).__qualname__}."
        raise TypeError(msg)


@attrs.frozen
class RealtimeModelSendRawMessage:
    """
    Send *message* as it is.

    A raw ``response.create`` takes its turn like any other.

    Raises:
        TypeError: It is not a mapping.
    """

    message: RealtimeModelRawClientMessage = attrs.field(validator=_check_raw_message)


@attrs.frozen
class RealtimeModelSendUserInput:
    """
    Add *user_input* to the conversation, and ask for a response.

    Raises:
        TypeError: It is neither a text nor a message.
    """

    user_input: RealtimeModelUserInput = attrs.field(
        repr=lambda _: "<withheld>", validator=_check_user_input
    )


@attrs.frozen(weakref_slot=False)  # so that `_fast_init` can make one
class RealtimeModelSendAudio:
    """
    Append *audio* to the user's speech.

    Attributes:
        audio: In the session's input format, in whole samples.
        commit: Whether the user's turn ends with it, where the service doesn't detect that.
    """

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    commit: bool = False


@attrs.frozen
class RealtimeModelSendToolOutput:
    """
    Give the model the output of a tool.

    Attributes:
        tool_call: The call that it is the output of.
        output: Text; usually JSON.
        start_response: Whether the model is to go on speaking.

    Raises:
        TypeError: *output* is not a text.
    """

    tool_call: RealtimeModelToolCallEvent
    output: str = attrs.field(
        repr=lambda output: f"<{len(output)} characters>", validator=_check_output
    )
    start_response: bool


@attrs.frozen
class RealtimeModelSendInterrupt:
    """
    Stop the model: its speech is cut off where it is heard, and the response is cancelled.

    Attributes:
        force_response_cancel:
            Cancel the response even where the service cancels it by itself when the user speaks.
        response_id: Only this response. If no audio of it is left to be heard, nothing is cut off.
        cancel_response_only: Cancel *response_id*, and let its received audio be heard.
        playback_only: Cut off the audio of *response_id*, and let the response go on.
    """

    force_response_cancel: bool = False
    response_id: str | None = None
    cancel_response_only: bool = False
    playback_only: bool = False


@attrs.frozen
class RealtimeModelSendSessionUpdate:
    """Change the session's settings; a setting that isn't given stays as it is."""

    session_settings: RealtimeSessionModelSettings


RealtimeModelSendEvent: TypeAlias = (
    RealtimeModelSendRawMessage
    | RealtimeModelSendUserInput
    | RealtimeModelSendAudio
    | RealtimeModelSendToolOutput
    | RealtimeModelSendInterrupt
    | RealtimeModelSendSessionUpdate
)
"""Anything that can be sent to a model."""
