"""
One tree of errors, with facts as attributes, that survive a pickle.
"""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from eventbus import (
    AudioFormatError,
    BridgeConnectionError,
    BridgeError,
    BridgeSetupError,
    BusClosed,
    BusNotRunning,
    CodecError,
    CommandFailed,
    DuplicateEventTypeError,
    DuplicateSubscriptionError,
    EventBusError,
    EventsLost,
    EventTypeError,
    ExportError,
    FilterError,
    FrameError,
    HandlerError,
    InspectorError,
    JournalDamaged,
    JournalEmpty,
    JournalError,
    JournalTooNew,
    JournalTooOld,
    JournalWriteError,
    MailboxFull,
    ModelNotConnected,
    NoSuchCall,
    NotAJournal,
    NotSupported,
    OptionError,
    PayloadTooLarge,
    PluginError,
    PluginNotFoundError,
    RealtimeConnectionError,
    RegistrationError,
    RemoteException,
    ReplayDifference,
    ScenarioError,
    ToolArgumentsError,
    ToolDefinitionError,
    UnreadableMessage,
    exceptions,
)

EXAMPLES = [
    EventBusError("it went wrong"),
    BusClosed("it is closed"),
    BusNotRunning("it isn't running"),
    MailboxFull("it is full", handler=print, capacity=3),
    RegistrationError("it was refused"),
    HandlerError("it is no handler", handler=print),
    InspectorError("the port is in use"),
    EventTypeError("it is no class", event_type="Ping"),
    OptionError("it is no number", option="timeout", handler=print),
    DuplicateSubscriptionError("it is there already", handler=print),
    DuplicateEventTypeError("it is taken", event_type=dict),
    PluginError("it does not load", plugin="captions"),
    PluginNotFoundError("it is not there", plugin="captions"),
    CodecError("it is no number", path="$.event"),
    FrameError("it is no text", frame_type="response.done", field="response.usage"),
    JournalError("it can't be read", path="call.journal"),
    JournalEmpty("it is empty", path="call.journal"),
    NotAJournal("it is a picture", path="call.journal"),
    JournalTooNew("it is too new", path="call.journal", version=3, creator="eventbus 9"),
    JournalTooOld("it is too old", path="call.journal", version=1, creator="eventbus 0.1"),
    JournalDamaged("it is damaged", path="call.journal", offset=24, resume_at=48, marker=b"m"),
    JournalWriteError("the disk is full", path="call.journal"),
    ExportError("it has no audio", path="call.journal"),
    ReplayDifference("they differ", path="call.journal", seq=3, frame_type="error", field="type"),
    FilterError("it has no end", position=7),
    AudioFormatError("it has half a sample"),
    RealtimeConnectionError("it has ended", code=1006, reason="no reason"),
    ModelNotConnected("it isn't connected"),
    NotSupported("it can't", service="GPT-Live", feature="turn_detection"),
    ToolDefinitionError("it has no annotation", tool="weather"),
    ToolArgumentsError("it takes a city", tool="weather"),
    ScenarioError("it says nothing", source="shop.yaml", path="turns[0].say", line=3),
    RemoteException("shop.OutOfStock", "no more soup", "Traceback ..."),
    BridgeError("it went wrong on the way"),
    BridgeConnectionError("the server is away"),
    BridgeSetupError("the stream differs", differences={"replicas": (1, 3)}),
    PayloadTooLarge("it is too large", size=3, limit=2),
    UnreadableMessage("it is a picture", subject="calls.1.a.audio", stream_sequence=7),
    EventsLost("the buffer was full", count=3),
    NoSuchCall("nobody has it", call="call-1"),
    CommandFailed("it was refused"),
]

each_example = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_examples_are_of_every_class():
    """
    The tests below leave out no exception of the module.
    """
    assert {type(error).__name__ for error in EXAMPLES} == set(exceptions.__all__)


@each_example
def test_everything_has_one_root(error):
    """
    ``except EventBusError`` catches every error that eventbus raises itself.
    """
    assert isinstance(error, EventBusError)


def test_tree_in_the_docstring_is_the_tree():
    """
    The picture at the top of the module shows each class below its parent, with the builtin that
    it also is.
    """
    drawn = {}
    path: list[str] = []
    for line in exceptions.__doc__.splitlines():
        name, _, builtin = line.lstrip(" │├└─").partition(" ")
        if name not in exceptions.__all__ or not line.startswith(" "):
            continue
        depth = (len(line) - len(line.lstrip(" │├└─")) - 4) // 4
        path = [*path[:depth], name]
        drawn[name] = {path[-2] if depth else "Exception", *filter(None, [builtin.strip("()")])}

    real = {
        name: {base.__name__ for base in getattr(exceptions, name).__bases__}
        for name in exceptions.__all__
    }

    assert drawn == real


@each_example
def test_error_pickles_with_its_facts(error):
    """
    Class, message and attributes come out of a pickle as they went in.
    """
    error = copy.copy(error)
    error.add_note("in a test")

    copied = pickle.loads(pickle.dumps(error))

    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


@each_example
def test_error_can_be_copied(error):
    """
    `copy.copy` keeps the attributes, too.
    """
    assert vars(copy.copy(error)) == vars(error)


@each_example
def test_facts_are_described(error):
    """
    Each attribute that an error has is named in its docstring.
    """
    described = "\n".join(inspect.getdoc(cls) or "" for cls in type(error).__mro__)

    undescribed = [fact for fact in vars(error) if f"{fact}:" not in described]

    assert undescribed == []


def test_remote_exception_reads_like_the_original():
    """
    Its text is the last line of the original's traceback.
    """
    assert (
        str(RemoteException("shop.OutOfStock", "no more soup")) == "shop.OutOfStock: no more soup"
    )
    assert str(RemoteException("KeyboardInterrupt", "")) == "KeyboardInterrupt"


def test_remote_exceptions_are_equal_by_value():
    """
    Two errors read from one file are equal, with an equal hash; any difference tells.
    """
    one = RemoteException("shop.OutOfStock", "no more soup", "Traceback ...")
    same = RemoteException("shop.OutOfStock", "no more soup", "Traceback ...")

    assert one == same
    assert hash(one) == hash(same)
    assert one != RemoteException("shop.OutOfStock", "no more soup")
    assert one != ValueError("no more soup")
