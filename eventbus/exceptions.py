"""
The exceptions of eventbus, in one tree.

::

    EventBusError
    ├── BusClosed (RuntimeError)
    ├── BusNotRunning (RuntimeError)
    ├── MailboxFull
    ├── RegistrationError
    │   ├── HandlerError (TypeError)
    │   ├── EventTypeError (TypeError)
    │   ├── OptionError (ValueError)
    │   ├── DuplicateSubscriptionError (ValueError)
    │   └── DuplicateEventTypeError (ValueError)
    ├── PluginError
    │   └── PluginNotFoundError (LookupError)
    ├── CodecError (ValueError)
    ├── FrameError (ValueError)
    ├── JournalError
    │   ├── JournalEmpty (ValueError)
    │   ├── NotAJournal (ValueError)
    │   ├── JournalTooNew (ValueError)
    │   ├── JournalTooOld (ValueError)
    │   ├── JournalDamaged (ValueError)
    │   ├── JournalWriteError (OSError)
    │   ├── ExportError (ValueError)
    │   └── ReplayDifference (AssertionError)
    ├── FilterError (ValueError)
    ├── AudioFormatError (ValueError)
    ├── RealtimeConnectionError (ConnectionError)
    ├── ModelNotConnected (RuntimeError)
    ├── NotSupported (ValueError)
    ├── ToolDefinitionError (TypeError)
    ├── ToolArgumentsError (ValueError)
    ├── ScenarioError (ValueError)
    ├── InspectorError
    ├── BridgeError
    │   ├── BridgeConnectionError (ConnectionError)
    │   ├── BridgeSetupError (ValueError)
    │   ├── PayloadTooLarge (ValueError)
    │   ├── UnreadableMessage (ValueError)
    │   ├── EventsLost
    │   ├── NoSuchCall (LookupError)
    │   └── CommandFailed
    └── RemoteException

An exception that a handler raises is none of these: it travels in a
`RealtimeModelExceptionEvent`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AudioFormatError",
    "BridgeConnectionError",
    "BridgeError",
    "BridgeSetupError",
    "BusClosed",
    "BusNotRunning",
    "CodecError",
    "CommandFailed",
    "DuplicateEventTypeError",
    "DuplicateSubscriptionError",
    "EventBusError",
    "EventTypeError",
    "EventsLost",
    "ExportError",
    "FilterError",
    "FrameError",
    "HandlerError",
    "InspectorError",
    "JournalDamaged",
    "JournalEmpty",
    "JournalError",
    "JournalTooNew",
    "JournalTooOld",
    "JournalWriteError",
    "MailboxFull",
    "ModelNotConnected",
    "NoSuchCall",
    "NotAJournal",
    "NotSupported",
    "OptionError",
    "PayloadTooLarge",
    "PluginError",
    "PluginNotFoundError",
    "RealtimeConnectionError",
    "RegistrationError",
    "RemoteException",
    "ReplayDifference",
    "ScenarioError",
    "ToolArgumentsError",
    "ToolDefinitionError",
    "UnreadableMessage",
]


def is_exit(exc: BaseException) -> bool:
    """Return True if *exc* is to end the program, alone or in a group: it is never caught."""
    if isinstance(exc, BaseExceptionGroup):
        return any(is_exit(inner) for inner in exc.exceptions)
    return isinstance(exc, (KeyboardInterrupt, SystemExit))


class EventBusError(Exception):
    """The root of everything that eventbus raises itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles by calling the class with its args, which lack our keyword arguments.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: type[EventBusError], args: tuple[object, ...]) -> EventBusError:
    error = cls.__new__(cls)
    error.args = args
    return error


class BusClosed(EventBusError, RuntimeError):
    """The bus was closed, or the event loop that it ran in is gone."""


class BusNotRunning(EventBusError, RuntimeError):
    """The event would reach an async handler, and the bus isn't inside ``async with``."""


class MailboxFull(EventBusError):
    """
    A mailbox had no room, so at least one event was not delivered.

    Raised by a publish to a mailbox with `Overflow.RAISE`; for the policies
    that drop, it is the exception of the event that reports the drop.

    Attributes:
        handler: The handler behind the mailbox.
        capacity: How many events the mailbox holds.
    """

    def __init__(self, message: str, *, handler: Callable[..., object], capacity: int) -> None:
        super().__init__(message)
        self.handler = handler
        self.capacity = capacity


class RegistrationError(EventBusError):
    """A handler was refused; nothing of it was registered."""


class HandlerError(RegistrationError, TypeError):
    """
    The callable can't be a handler.

    Attributes:
        handler: The callable that was refused.
    """

    def __init__(self, message: str, *, handler: object = None) -> None:
        super().__init__(message)
        self.handler = handler


class EventTypeError(RegistrationError, TypeError):
    """
    An event type is not a class that can be published.

    Attributes:
        event_type: The value that was given.
    """

    def __init__(self, message: str, *, event_type: object = None) -> None:
        super().__init__(message)
        self.event_type = event_type


class OptionError(RegistrationError, ValueError):
    """
    An option has a value that it can't have, or doesn't fit the handler.

    Attributes:
        option: The option's name.
        handler: The handler that it was given for, if it was known.
    """

    def __init__(self, message: str, *, option: str, handler: object = None) -> None:
        super().__init__(message)
        self.option = option
        self.handler = handler


class DuplicateSubscriptionError(RegistrationError, ValueError):
    """
    The handler has a subscription for this class and sender, with other options.

    Attributes:
        handler: The handler that was registered again.
    """

    def __init__(self, message: str, *, handler: object) -> None:
        super().__init__(message)
        self.handler = handler


class DuplicateEventTypeError(RegistrationError, ValueError):
    """
    The type name belongs to another class already.

    Attributes:
        event_type: The class that was to be registered.
    """

    def __init__(self, message: str, *, event_type: type[Any]) -> None:
        super().__init__(message)
        self.event_type = event_type


class PluginError(EventBusError):
    """
    A plugin could not be loaded; the others were.

    Attributes:
        plugin: The plugin's entry-point name.
    """

    def __init__(self, message: str, *, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class PluginNotFoundError(PluginError, LookupError):
    """No installed distribution has a plugin of that name."""


class CodecError(EventBusError, ValueError):
    """
    Data that can't be written, or that `eventbus.codec` has not written.

    Attributes:
        path: Where in the data, like ``$.event.item.content[0]``.
    """

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class FrameError(EventBusError, ValueError):
    """
    A vendor's frame could not be read.

    Attributes:
        problem: The problem, in one clause; the message also tells where the frame is.
        frame_type: The frame's ``type``, if that much could be read.
        field: The path of the field that is missing or wrong, like
            ``response.usage``; empty if the frame as a whole is.
    """

    def __init__(self, problem: str, *, frame_type: str | None = None, field: str = "") -> None:
        super().__init__(f"{problem}; it is in the raw event before this one, as it came.")
        self.problem = problem
        self.frame_type = frame_type
        self.field = field


class JournalError(EventBusError):
    """
    A journal can't be written or read as it was asked for.

    Attributes:
        path: The file; empty if it is none.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class JournalEmpty(JournalError, ValueError):
    """The file has nothing in it, not even the whole of a journal's first bytes."""


class NotAJournal(JournalError, ValueError):
    """The file is something else."""


class JournalTooNew(JournalError, ValueError):
    """
    A newer version of eventbus has written the journal.

    Attributes:
        version: The version of its format.
        creator: The program that wrote it, and its version.
    """

    def __init__(self, message: str, *, path: str = "", version: int, creator: str = "") -> None:
        super().__init__(message, path=path)
        self.version = version
        self.creator = creator


class JournalTooOld(JournalError, ValueError):
    """
    An older version of eventbus has written the journal, in a format that is no longer read.

    Attributes:
        version: The version of its format.
        creator: The program that wrote it, and its version.
    """

    def __init__(self, message: str, *, path: str = "", version: int, creator: str = "") -> None:
        super().__init__(message, path=path)
        self.version = version
        self.creator = creator


class JournalDamaged(JournalError, ValueError):
    """
    Bytes of a journal aren't those that were written, or a segment is missing or another journal's.

    Attributes:
        offset: Where the damage begins in the file.
        resume_at: Where the next undamaged batch of records begins; None if there is none.
        marker: The segment's marker, where only the damage had it in its place.
        problem: The problem, without the remedy; empty if the offsets say all of it.
        journal_id: The id of the journal that the file belongs to, if it is another one; else None.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        offset: int,
        resume_at: int | None = None,
        marker: bytes | None = None,
        problem: str = "",
        journal_id: str | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.offset = offset
        self.resume_at = resume_at
        self.marker = marker
        self.problem = problem
        self.journal_id = journal_id


class JournalWriteError(JournalError, OSError):
    """
    Records can't be written: the disk is full, the folder is gone, or the like.

    ``__cause__`` is the error of the system.
    """


class ExportError(JournalError, ValueError):
    """A journal can't be exported to that format."""


class ReplayDifference(JournalError, AssertionError):
    """
    A decoder gives something else than was recorded.

    Attributes:
        seq: The number of the frame's record.
        frame_type: The frame's ``type``, if that much could be read.
        field: The difference: the path of a field, or ``class``, or ``count``.
        expected: The recorded value, without content.
        got: The decoded value, without content.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        seq: int,
        frame_type: str | None = None,
        field: str = "",
        expected: str = "",
        got: str = "",
    ) -> None:
        super().__init__(message, path=path)
        self.seq = seq
        self.frame_type = frame_type
        self.field = field
        self.expected = expected
        self.got = got


class FilterError(EventBusError, ValueError):
    """
    A filter can't be read.

    Attributes:
        position: The character of it, from 1, where it is wrong.
    """

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position


class AudioFormatError(EventBusError, ValueError):
    """Audio that isn't in the format it should be in, or a format that is unknown."""


class RealtimeConnectionError(EventBusError, ConnectionError):
    """
    The connection to a service could not be opened, or has ended as it should not.

    Attributes:
        code: The WebSocket close code, or the HTTP status that refused the connection, if any.
        reason: The reason of the other side, or the error of the system.
    """

    def __init__(self, message: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ModelNotConnected(EventBusError, RuntimeError):
    """The model has no connection to send through: not yet, or not any more."""


class NotSupported(EventBusError, ValueError):
    """
    The service or its protocol can't do that; nothing was sent.

    Attributes:
        service: The service's name.
        feature: The setting or the message that it lacks.
    """

    def __init__(self, message: str, *, service: str, feature: str) -> None:
        super().__init__(message)
        self.service = service
        self.feature = feature


class ToolDefinitionError(EventBusError, TypeError):
    """
    A function can't be a tool.

    Attributes:
        tool: The tool's name.
    """

    def __init__(self, message: str, *, tool: str) -> None:
        super().__init__(message)
        self.tool = tool


class ToolArgumentsError(EventBusError, ValueError):
    """
    The model called a tool with arguments that it doesn't take.

    Attributes:
        tool: The tool's name.
    """

    def __init__(self, message: str, *, tool: str) -> None:
        super().__init__(message)
        self.tool = tool


class ScenarioError(EventBusError, ValueError):
    """
    A scenario of the simulator has a mistake.

    Attributes:
        source: The file, or another origin of the scenario.
        path: Where in the scenario, like ``turns[0].say``; empty if it is the whole.
        line: The line in the file, from 1, if it is known.
    """

    def __init__(
        self, message: str, *, source: str = "", path: str = "", line: int | None = None
    ) -> None:
        super().__init__(message)
        self.source = source
        self.path = path
        self.line = line


class RemoteException(EventBusError):
    """
    An exception that happened in another process, or was read from a file.

    Attributes:
        type_name: The qualified name of the original class.
        message: The ``str()`` of the original.
        traceback_text: The formatted traceback; empty if there was none.
    """

    def __init__(self, type_name: str, message: str, traceback_text: str = "") -> None:
        super().__init__(type_name, message, traceback_text)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteException) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


class InspectorError(EventBusError):
    """The inspector can't be served: its port is in use, or it would be open to others."""


class BridgeError(EventBusError):
    """Something went wrong between two processes."""


class BridgeConnectionError(BridgeError, ConnectionError):
    """The server can't be reached, refuses the connection, or has ended it for good."""


class BridgeSetupError(BridgeError, ValueError):
    """
    The server or the stream lacks a setting that the bridge needs.

    Attributes:
        differences: The settings that differ: name -> (as it is, as it should be).
    """

    def __init__(
        self, message: str, *, differences: dict[str, tuple[object, object]] | None = None
    ) -> None:
        super().__init__(message)
        self.differences = differences or {}


class PayloadTooLarge(BridgeError, ValueError):
    """
    An event takes more bytes than the server accepts, so it was not forwarded.

    Attributes:
        size: The bytes of its message.
        limit: The most bytes that the server accepts.
    """

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class UnreadableMessage(BridgeError, ValueError):
    """
    A message in the stream is not an event, or one that this version can't read.

    Attributes:
        subject: The message's subject.
        stream_sequence: Its number in the stream.
    """

    def __init__(self, message: str, *, subject: str, stream_sequence: int) -> None:
        super().__init__(message)
        self.subject = subject
        self.stream_sequence = stream_sequence


class EventsLost(BridgeError):
    """
    Events did not reach the stream: the buffer of the forwarding process was full.

    Attributes:
        count: How many, as far as it is known.
    """

    def __init__(self, message: str, *, count: int) -> None:
        super().__init__(message)
        self.count = count


class NoSuchCall(BridgeError, LookupError):
    """
    No process has a session of that call, or none that takes commands.

    Attributes:
        call: The call's id.
    """

    def __init__(self, message: str, *, call: str) -> None:
        super().__init__(message)
        self.call = call


class CommandFailed(BridgeError):
    """
    The process that has the session could not carry out a command.

    ``__cause__`` is a `RemoteException`, if an exception was the reason.
    """
