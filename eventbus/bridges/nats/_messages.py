"""
Events as messages of a stream, and back.

A message's payload is the event in MessagePack, as `eventbus.codec.packs` writes it, with the
version of that format. Its headers are for readers that look into no payload:

====================  ==========================================================================
``Nats-Msg-Id``       origin, call and sequence; the server drops a second message with the same
``Eventbus-Call``     the call's id, escaped as in URLs; none for an event without a sender
``Eventbus-Sequence`` the event's number within its call and origin
``Eventbus-Class``    the event's type name, escaped
``Eventbus-Origin``   the forwarding process, or the journal
``Eventbus-Time``     nanoseconds since the epoch
``Eventbus-Format``   the version of these headers; none for 1
``Eventbus-Cause``    the event that led to this one, where that is known
``Eventbus-Lost``     how many events of the call were dropped before this one
``traceparent``, ``tracestate``, ``baggage``: the trace context, if there is one
====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ...codec import packs, unpacks
from ...events import EVENT_TYPES
from ...exceptions import CodecError, UnreadableMessage
from ._stream import FORMAT_VERSION
from ._subjects import header_text, text_of, text_of_header

ID: Final = "Nats-Msg-Id"
CALL: Final = "Eventbus-Call"
SEQUENCE: Final = "Eventbus-Sequence"
CLASS: Final = "Eventbus-Class"
ORIGIN: Final = "Eventbus-Origin"
TIME: Final = "Eventbus-Time"
FORMAT: Final = "Eventbus-Format"
CAUSE: Final = "Eventbus-Cause"
LOST: Final = "Eventbus-Lost"
TRACE: Final = ("traceparent", "tracestate", "baggage")


def encode(event: Any) -> bytes:
    """
    Return the payload of an event.

    Raises:
        CodecError: It can't be written.
    """
    return packs(event)


def type_name(event_type: type[Any]) -> str:
    """Return the type name of a class of events; of one that isn't registered, the class's."""
    names = [name for name, known in EVENT_TYPES.items() if known is event_type]
    return names[0] if names else event_type.__qualname__


@attrs.frozen
class Received:
    """
    A message of the stream.

    Attributes:
        subject: Its subject.
        stream_sequence: Its number in the stream.
        call: The call's id; None for an event without one.
        origin: The forwarding process, or the journal.
        sequence: The event's number within its call and origin; 0 if the message has none.
        payload: The event, encoded.
        headers: All of its headers.
    """

    subject: str
    stream_sequence: int
    call: str | None
    origin: str
    sequence: int
    payload: bytes = attrs.field(repr=lambda payload: f"<{len(payload)} bytes>")
    headers: Mapping[str, str] = attrs.field(repr=False)

    @property
    def lost(self) -> int:
        """The number of the call's events that were dropped before this one."""
        return _number(self.headers.get(LOST))

    @property
    def time_ns(self) -> int:
        """When it was forwarded; 0 if the message doesn't say."""
        return _number(self.headers.get(TIME))

    @property
    def trace(self) -> dict[str, str]:
        """Its trace context."""
        headers = self.headers
        return {name: headers[name] for name in TRACE if name in headers}

    def decode(self) -> Any:
        """
        Return the event.

        Raises:
            UnreadableMessage: It is none, or is written in a newer format.
        """
        version = _number(self.headers.get(FORMAT)) or 1
        if version > FORMAT_VERSION:
            problem = f"has format {version}, newer than {FORMAT_VERSION}; upgrade eventbus"
            raise self._unreadable(problem)
        try:
            return unpacks(self.payload)
        except CodecError as exc:
            problem = "is not an event; let only bridges publish to the subjects of the stream"
            raise self._unreadable(problem) from exc

    def _unreadable(self, problem: str) -> UnreadableMessage:
        msg = f"Message {self.stream_sequence} of the stream, {self.subject}, {problem}."
        return UnreadableMessage(msg, subject=self.subject, stream_sequence=self.stream_sequence)


def received(
    subject: str, stream_sequence: int, headers: Mapping[str, str] | None, payload: bytes
) -> Received:
    """Return a message of the stream, with the facts that its headers give."""
    headers = headers or {}
    call: str | None
    if CALL in headers:
        call = text_of_header(headers[CALL])
    else:
        tokens = subject.split(".")
        call = text_of(tokens[2]) if len(tokens) == 4 else None
    return Received(
        subject,
        stream_sequence,
        call,
        headers.get(ORIGIN, ""),
        _number(headers.get(SEQUENCE)),
        payload,
        headers,
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def call_header(call: str) -> str:
    """Return the value of the header that has a call's id."""
    return header_text(call)
