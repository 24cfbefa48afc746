"""
The parts of a session that a vendor brings, as the connection sees them.

A `Dialer` opens connections, a `Decoder` reads their frames, and a `Dialogue` watches the events,
makes messages of the requests, and knows the conversation that a new session is told (`Seeding`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import attrs

from ._reconnecting import ReconnectPolicy
from ._renewal import RenewalPolicy

if TYPE_CHECKING:
    from ...events import RealtimeModelAudioInterruptedEvent, RealtimeModelEvent
    from ..inputs import RealtimeModelSendEvent
    from ..memory import RestoreReason
    from ._outbox import OutgoingMessage
    from ._reconnecting import End
    from ._sender import Connection

Watch: TypeAlias = Callable[[Any, Any], Any]
"""
Called with an event and the raw event of its frame, before the listeners are told.

It returns the event to tell them, which is another one or the same; None is none.
"""


def check_seconds(name: str, value: Any) -> None:
    """
    Check an argument that is a number of seconds; infinite is as long as it takes.

    Raises:
        ValueError: It isn't one.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not value >= 0:
        msg = f"{name}= is a number of seconds from 0 on, not {value!r}."
        raise ValueError(msg)


def _seconds(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value)


def _policy(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    kind = ReconnectPolicy if attribute.name == "reconnect" else RenewalPolicy
    if value is not None and not isinstance(value, kind):
        msg = f"{attribute.name}= is a {kind.__name__}, or None; not {value!r}."
        raise TypeError(msg)


def _bytes(_instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{attribute.name}= is a whole number of bytes from 1 on, not {value!r}."
        raise ValueError(msg)


@attrs.frozen
class Timeouts:
    """
    The times and limits that all sessions of a model share.

    Raises:
        TypeError: A policy is something else.
        ValueError: A time or a limit is not a number, or below its least value.
    """

    reconnect: ReconnectPolicy | None = attrs.field(validator=_policy)
    renewal: RenewalPolicy | None = attrs.field(validator=_policy)
    close_timeout: float = attrs.field(validator=_seconds)
    send_timeout: float = attrs.field(validator=_seconds)
    max_buffered_bytes: int = attrs.field(validator=_bytes)


def checked_options(given: Any) -> Mapping[str, Any]:
    """
    Return an argument *websocket_options*.

    Raises:
        TypeError: It is not a mapping.
    """
    if given is not None and not isinstance(given, Mapping):
        msg = f"websocket_options= is a mapping, not {type(given).__qualname__}."
        raise TypeError(msg)
    return given or {}


class Decoder(Protocol):
    """A vendor's decoder of frames; each connection gets a new one."""

    def decode(self, frame: bytes, /) -> Sequence[RealtimeModelEvent]:
        """Return the events of a frame, the raw one first."""
        ...


class Host(Protocol):
    """The connection of a dialogue, as the dialogue sees it."""

    async def emit(self, event: RealtimeModelEvent) -> None:
        """Tell the listeners of *event*."""
        ...

    def expect_end_at(self, epoch_seconds: float) -> None:
        """Note that the service ends the session at a time, in seconds since the epoch."""
        ...

    def expire(self) -> bool:
        """Note that the session's time is up; return whether another session follows."""
        ...


class Seeding(Protocol):
    """The conversation as a new session is told it."""

    @property
    def messages(self) -> Sequence[OutgoingMessage]:
        """The messages to send."""
        ...

    @property
    def is_answered(self) -> bool:
        """True if the service has answered all messages."""
        ...

    @property
    def is_refused(self) -> bool:
        """True if the service ends the new session instead."""
        ...

    def note(self, event: RealtimeModelEvent) -> None:
        """Note an event of the new session."""
        ...


class Dialer(Protocol):
    """A vendor's way to open a connection, any number of times."""

    @property
    def shown(self) -> str:
        """The address, for people."""
        ...

    @property
    def ended(self) -> type[Exception]:
        """The exception of a connection that has ended; known once one was opened."""
        ...

    def end_of(self, exc: Exception, /) -> End:
        """Return the end of a connection that has raised *exc*."""
        ...

    def withhold(self, text: str, /) -> str:
        """Return a text of the service without the keys that it may quote."""
        ...

    async def open(self) -> Connection:
        """Open a connection; raises RealtimeConnectionError."""
        ...


class Dialogue(Protocol):
    """
    A vendor's knowledge of the session: it watches events and makes messages.

    Attributes:
        watches: Class of an event -> the function that watches it.
        last_frame_at: Time of the last frame, by the event loop's clock.
    """

    @property
    def watches(self) -> Mapping[type[Any], Watch]: ...  # documented above

    last_frame_at: float

    @property
    def is_quiet(self) -> bool:
        """True if nothing goes on: no speech, no response, no tool, nothing sent or to be heard."""
        ...

    def settings(self) -> list[OutgoingMessage]:
        """
        Return the messages that configure a new session.

        None, where the settings and the conversation are one message: it comes from `recall`.
        """
        ...

    async def recall(self, reason: RestoreReason) -> Any:
        """Return the conversation as a new session is to be told it: a `Seeding`."""
        ...

    async def begin(self, seeding: Any = None) -> None:
        """
        Open the sender for a new connection: settings, conversation, and the kept messages.

        Args:
            seeding: The conversation that the new session was told already, with the settings.
        """
        ...

    async def lose(self) -> None:
        """Forget the session of a lost connection, and end the turns that were going on."""
        ...

    def unacknowledged(self) -> list[str]:
        """Return the types of the messages that were sent, and not acknowledged."""
        ...

    def has_cut_off(self, event: RealtimeModelAudioInterruptedEvent, /) -> bool:
        """Return whether the interruption that *event* reports cut off audio."""
        ...

    async def cut_off(self) -> None:
        """Cut off the speech that was not heard so far; also after the end."""
        ...

    def end(self) -> None:
        """Stop all timers, and forget all that `cut_off` doesn't need."""
        ...

    def send(self, event: RealtimeModelSendEvent) -> Awaitable[None]:
        """Send *event*; raises as `RealtimeModel.send_event` does."""
        ...
