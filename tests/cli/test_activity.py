"""
`eventbus.cli.activity`: when a session is over.
"""

from __future__ import annotations

import anyio
import pytest

from eventbus.cli.activity import Activity
from eventbus.events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import RealtimeConnectionError
from eventbus.realtime.events import RealtimeEventInfo, RealtimeToolEnd, RealtimeToolStart
from eventbus.testing import FakeClock

INFO = RealtimeEventInfo()
CONNECTED = RealtimeModelConnectionStatusEvent("connected")


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: live sessions have no other.
    """
    return "asyncio"


@pytest.fixture
def activity():
    return Activity()


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            RealtimeModelInputSpeechStartedEvent("item", 0),
            RealtimeModelInputSpeechStoppedEvent("item", 9),
        ),
        (RealtimeModelTurnStartedEvent("resp"), RealtimeModelTurnEndedEvent("resp")),
        (RealtimeToolStart(None, None, "{}", INFO), RealtimeToolEnd(None, None, "{}", "", INFO)),
        (RealtimeModelTurnStartedEvent("resp"), CONNECTED),
    ],
    ids=["speech", "response", "tool", "reconnection"],
)
async def test_what_has_begun_must_have_ended_for_a_while(activity, begin, end):
    """
    A session has not settled while something is under way, nor within two seconds of its end.
    """
    with FakeClock(autojump=True):
        activity.note(begin)
        await anyio.sleep(60)
        assert not activity.has_settled

        activity.note(end)
        await anyio.sleep(1.9)
        assert not activity.has_settled

        await anyio.sleep(0.2)
        assert activity.has_settled


async def test_sound_is_activity(activity):
    """
    As long as speech is heard, and for two seconds after it, the session has not settled.
    """
    with FakeClock(autojump=True):
        activity.note_sound()
        await anyio.sleep(1.9)
        activity.note_sound()
        await anyio.sleep(1.9)
        assert not activity.has_settled


def failure(code):
    return RealtimeModelExceptionEvent(RealtimeConnectionError("gone", code=code), "connection")


async def test_failure_of_the_connection_is_kept_until_there_is_another(activity):
    """
    The error that has ended the connection is the failure, unless another connection came after it.
    """
    activity.note(failure(1011))
    assert activity.failure is not None

    activity.note(CONNECTED)
    assert activity.failure is None

    activity.note(failure(1006))
    activity.note(RealtimeModelEndOfStreamEvent())
    assert activity.has_ended
    assert activity.failure.code == 1006


async def test_trouble_without_a_code_is_no_end(activity):
    """
    That audio was dropped is reported as an error of the connection, which goes on.
    """
    activity.note(failure(None))

    assert activity.failure is None
