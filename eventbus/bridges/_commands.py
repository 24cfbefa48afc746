"""
Commands: requests to the process that holds a call.

Each is an instruction for one session; the session's process carries it out and answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import attrs
import msgspec


@attrs.frozen
class SendMessage:
    """
    Add a message from the user to the conversation, and ask for a response.

    Attributes:
        message: Text, or a message as `RealtimeSession.send_message` takes it.
    """

    message: str | Mapping[str, Any] = attrs.field(repr=lambda _: "<withheld>")


@attrs.frozen
class Interrupt:
    """Stop the model: its speech is cut off, and the response is cancelled."""


@attrs.frozen
class UpdateSettings:
    """
    Change the session's settings; others stay as they are.

    Attributes:
        settings: As `RealtimeSession.update_settings` takes them.
    """

    settings: Mapping[str, Any]


@attrs.frozen
class HangUp:
    """Close the session."""


@attrs.frozen
class ApproveToolCall:
    """
    Let a tool run that waits for approval.

    Attributes:
        call_id: The tool call's id.
    """

    call_id: str


@attrs.frozen
class RejectToolCall:
    """
    Don't let a tool run that waits for approval.

    Attributes:
        call_id: The tool call's id.
        message: The output that the model gets; None is the session's own words.
    """

    call_id: str
    message: str | None = None


Command: TypeAlias = (
    SendMessage | Interrupt | UpdateSettings | HangUp | ApproveToolCall | RejectToolCall
)
"""A request to the process that holds a call."""


class CommandedSession(Protocol):
    """The part of a session that commands need; `eventbus.realtime.RealtimeSession` has it."""

    @property
    def sender(self) -> Any:
        """The sender of the session's events: the call."""

    async def send_message(self, message: Any, /) -> None:
        """Add a message from the user."""

    async def interrupt(self) -> None:
        """Stop the model."""

    async def update_settings(self, settings: Any, /) -> None:
        """Change the settings."""

    async def approve_tool_call(self, call_id: str, /) -> None:
        """Let a tool run."""

    async def reject_tool_call(self, call_id: str, /, *, message: str = ...) -> None:
        """Don't let a tool run."""

    async def close(self) -> None:
        """Close the session."""

    async def wait_closed(self) -> None:
        """Wait until the session is over."""


_CLASSES: Final[dict[str, type[Any]]] = {
    "send_message": SendMessage,
    "interrupt": Interrupt,
    "update_settings": UpdateSettings,
    "hang_up": HangUp,
    "approve_tool_call": ApproveToolCall,
    "reject_tool_call": RejectToolCall,
}
_NAMES: Final = {cls: name for name, cls in _CLASSES.items()}


def encode_command(command: Command) -> bytes:
    """
    Return a command as MessagePack.

    Raises:
        TypeError: It is none, or holds a value that isn't plain data.
    """
    name = _NAMES.get(type(command))
    if name is None:
        known = ", ".join(cls.__name__ for cls in _CLASSES.values())
        msg = f"{type(command).__qualname__} isn't a command; send one of {known}."
        raise TypeError(msg)
    fields = {field.name: getattr(command, field.name) for field in attrs.fields(type(command))}
    return msgspec.msgpack.encode({"command": name, **fields}, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"{type(value).__qualname__} isn't plain data; send texts, numbers, lists and mappings."
    raise TypeError(msg)


def decode_command(data: bytes) -> Command:
    """
    Return the command that `encode_command` wrote.

    Raises:
        ValueError: It is none that is known here.
    """
    try:
        fields = msgspec.msgpack.decode(data)
        command: Command = _CLASSES[fields.pop("command")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        msg = "The command isn't known here; upgrade eventbus in the process that holds the call."
        raise ValueError(msg) from exc
    return command


async def carry_out(command: Command, session: CommandedSession) -> None:
    """Carry out *command*; errors of the session are raised."""
    match command:
        case SendMessage(message):
            await session.send_message(message)
        case Interrupt():
            await session.interrupt()
        case UpdateSettings(settings):
            await session.update_settings(settings)
        case HangUp():
            await session.close()
        case ApproveToolCall(call_id):
            await session.approve_tool_call(call_id)
        case RejectToolCall(call_id, None):
            await session.reject_tool_call(call_id)
        case RejectToolCall(call_id, message):
            await session.reject_tool_call(call_id, message=str(message))
