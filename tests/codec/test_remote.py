"""
An object that stays behind arrives as text.
"""

from __future__ import annotations

import functools
import traceback

import pytest

from eventbus.codec import RemoteObject, dumps, loads
from eventbus.events import RealtimeModelExceptionEvent
from eventbus.exceptions import RemoteException
from tests.codec.journeys import AUDIO, every_format


def crash(message="boom"):
    raise ValueError(message)


def caught(function, *args):
    try:
        function(*args)
    except Exception as exc:  # noqa: BLE001 - the test is about it
        return exc
    return None


@every_format
def test_exception_travels_as_type_message_and_traceback(travel):
    """
    A local exception comes back as `RemoteException` that tells all of it as text.
    """
    exc = caught(crash)

    remote = travel(RealtimeModelExceptionEvent(exc, "at work")).exception

    assert (remote.type_name, remote.message) == ("ValueError", "boom")
    assert remote.traceback_text == "".join(traceback.format_exception(exc))


@every_format
def test_remote_exception_is_written_as_it_was_read(travel):
    """
    A second journey changes nothing: no second traceback, no wrapper around the wrapper.
    """
    once = travel(RealtimeModelExceptionEvent(caught(crash), "at work"))

    assert travel(once) == once


def test_exception_that_was_never_raised_has_no_traceback():
    """
    Without a traceback the text is empty, for type and message say it all.
    """
    assert loads(dumps(RealtimeModelExceptionEvent(KeyError("k")))).exception == RemoteException(
        "KeyError", "'k'", ""
    )


def test_whole_exception_group_and_chain_are_in_the_text():
    """
    Every member of a large group, and the cause of the group, are in the traceback's text.
    """
    group = ExceptionGroup("many", [caught(crash, f"member {n}") for n in range(40)])
    group.__cause__ = KeyError("the cause")

    text = loads(dumps(RealtimeModelExceptionEvent(group))).exception.traceback_text

    assert all(f"ValueError: member {n}\n" in text for n in range(40))
    assert "KeyError: 'the cause'" in text


def test_exception_without_a_message_travels():
    """
    An exception whose ``str()`` raises is reported nevertheless.
    """

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    remote = loads(dumps(RealtimeModelExceptionEvent(Mute()))).exception

    assert remote.type_name.endswith("Mute")
    assert "str() failed" in remote.message


@every_format
def test_handler_travels_as_its_name(travel):
    """
    A handler comes back as `RemoteObject`, which is written again as it is.
    """
    event = travel(RealtimeModelExceptionEvent(KeyError(), handler=functools.partial(crash, "x")))

    assert event.handler == RemoteObject(f"{__name__}.crash")
    assert travel(event) == event


def test_handler_of_another_process_cannot_be_called():
    """
    Calling it is a TypeError that names it.
    """
    with pytest.raises(TypeError, match=r"app\.play"):
        RemoteObject("app.play")(AUDIO)
