from __future__ import annotations

import asyncio
import logging

import pytest

from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelTurnStartedEvent
from eventbus.realtime.model import RealtimeModelListener, RealtimeModelNowaitListener
from eventbus.realtime.transport._listeners import Listeners

A, B = RealtimeModelTurnStartedEvent("a"), RealtimeModelTurnStartedEvent("b")


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: a transport with such listeners runs on it.
    """
    return "asyncio"


class Awaited(RealtimeModelListener):
    """
    Notes its events, and raises if there is something to raise.
    """

    def __init__(self, error=None):
        self.error = error
        self.seen = []
        self.sent = []

    async def on_event(self, event):
        self.seen.append(event)
        if self.error is not None:
            raise self.error

    def on_sent(self, message):
        self.sent.append(message)
        if self.error is not None:
            raise self.error


class Called(RealtimeModelNowaitListener):
    """
    The same, without waiting.
    """

    def __init__(self, error=None):
        self.error = error
        self.seen = []

    def on_event_nowait(self, event):
        self.seen.append(event)
        if self.error is not None:
            raise self.error


class Sole(Awaited):
    """
    Is called while no other one hears events, and takes frames in one step then.
    """

    def __init__(self, error=None):
        super().__init__(error)
        self.called = []
        self.can_take_frames = True

    def on_event_alone(self, event):
        self.called.append(event)
        if self.error is not None:
            raise self.error

    def takes_frames(self):
        return self.can_take_frames

    def on_frame(self, raw, event):
        self.called.append((raw, event))
        if self.error is not None:
            raise self.error
        return True


class Deaf(Called):
    """
    Is told the sent messages, and no events.
    """

    hears_events = False


KINDS = [Awaited, Called]


@pytest.fixture
def listeners():
    """
    Nobody, at first.
    """
    return Listeners()


@pytest.mark.parametrize("kind", KINDS)
async def test_listener_is_told_until_it_is_removed(listeners, kind):
    """
    Adding it twice is once, and removing it twice is fine.
    """
    listener = kind()
    listeners.add(listener)
    listeners.add(listener)
    await listeners.emit(A)
    listeners.remove(listener)
    listeners.remove(listener)
    await listeners.emit(B)

    assert listener.seen == [A]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other_kind", KINDS)
async def test_failure_is_reported_to_the_others(listeners, kind, other_kind, caplog):
    """
    Once in a row, however often it fails, and logged as often.
    """
    error = ValueError("boom")
    failing, others = kind(error), [other_kind(), other_kind()]
    for listener in (others[0], failing, others[1]):
        listeners.add(listener)

    await listeners.emit(A)
    await listeners.emit(B)

    assert failing.seen == [A, B]
    for other in others:
        reports = [e for e in other.seen if isinstance(e, RealtimeModelExceptionEvent)]
        assert [e for e in other.seen if e not in reports] == [A, B]
        assert [report.exception for report in reports] == [error]
        assert reports[0].event is A
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("kind", KINDS)
async def test_failure_after_success_is_reported_again(listeners, kind):
    """
    A row of failures ends with an event that is taken.
    """
    failing, other = kind(ValueError("boom")), Called()
    listeners.add(failing)
    listeners.add(other)

    await listeners.emit(A)
    failing.error = None
    await listeners.emit(A)
    failing.error = ValueError("again")
    await listeners.emit(A)

    reports = [e for e in other.seen if isinstance(e, RealtimeModelExceptionEvent)]
    assert [str(report.exception) for report in reports] == ["boom", "again"]


@pytest.mark.parametrize("kind", KINDS)
async def test_listeners_that_all_fail_end(listeners, kind):
    """
    A report that fails is not reported.
    """
    failing = [kind(ValueError(str(number))) for number in range(3)]
    for listener in failing:
        listeners.add(listener)

    await listeners.emit(A)

    assert all(len(listener.seen) <= 3 for listener in failing)


async def test_cancellation_from_inside_is_a_failure(listeners):
    """
    A listener that raises CancelledError by itself ends nothing.
    """
    other = Awaited()
    listeners.add(Awaited(asyncio.CancelledError()))
    listeners.add(other)

    await listeners.emit(A)

    assert isinstance(other.seen[-1].exception, asyncio.CancelledError)


async def test_cancellation_from_outside_is_obeyed(listeners):
    """
    While a listener is awaited, the task can be cancelled.
    """

    class Waiting(Awaited):
        async def on_event(self, event):
            await asyncio.Event().wait()

    listeners.add(Waiting())
    task = asyncio.create_task(listeners.emit(A))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_listener_may_remove_itself(listeners):
    """
    The others of the same event are told all the same.
    """

    class Once(Called):
        def on_event_nowait(self, event):
            super().on_event_nowait(event)
            listeners.remove(self)

    once, other = Once(), Called()
    listeners.add(once)
    listeners.add(other)

    await listeners.emit(A)
    await listeners.emit(B)

    assert (once.seen, other.seen) == ([A], [A, B])


# --- a listener that is called while it is alone ----------------------------------------------


async def test_sole_listener_is_called(listeners):
    """
    While no other one hears events; beside another one it is awaited, in its turn.
    """
    sole, deaf, other = Sole(), Deaf(), Awaited()
    listeners.add(deaf)
    listeners.add(sole)
    await listeners.emit(A)
    listeners.add(other)
    await listeners.emit(B)
    listeners.remove(other)
    await listeners.emit(A)

    assert (sole.called, sole.seen) == ([A, A], [B])
    assert (other.seen, deaf.seen) == ([B], [])


@pytest.mark.parametrize("other", [Awaited, Called])
async def test_frame_is_taken_in_one_step_by_a_sole_listener_only(listeners, other):
    """
    Not beside another one, and not if it doesn't take frames at present.
    """
    sole, beside = Sole(), other()
    assert not listeners.takes_frames()
    listeners.add(sole)
    assert listeners.takes_frames()
    listeners.add(beside)
    assert not listeners.takes_frames()
    listeners.remove(beside)
    sole.can_take_frames = False
    assert not listeners.takes_frames()


@pytest.mark.parametrize("error", [ValueError("boom"), asyncio.CancelledError()])
async def test_sole_listener_that_fails_is_logged_once_in_a_row(listeners, error, caplog):
    """
    Its own cancellation is a failure, too; nobody is told, and it is told the next event.
    """
    sole = Sole(error)
    listeners.add(sole)

    await listeners.emit(A)
    await listeners.emit(B)

    assert (sole.called, sole.seen) == ([A, B], [])
    assert [record.event_type for record in caplog.records] == ["RealtimeModelTurnStartedEvent"]


async def test_each_frame_that_fails_is_logged(listeners, caplog):
    """
    The raw event is taken each time, which ends a row of failures.
    """
    listeners.add(Sole(ValueError("boom")))

    assert listeners.emit_frame(A, B)
    assert listeners.emit_frame(A, B)

    assert len(caplog.records) == 2


async def test_listener_that_a_sole_one_adds_is_told_the_next_event(listeners):
    """
    As one that any listener adds which is awaited.
    """
    other = Awaited()

    class Adding(Sole):
        def on_event_alone(self, event):
            listeners.add(other)

    listeners.add(Adding())
    await listeners.emit(A)
    await listeners.emit(B)

    assert other.seen == [B]


def test_only_who_wants_it_takes_note_of_what_is_sent(listeners, caplog):
    """
    A failure of one stops no other.
    """
    failing, other = Awaited(ValueError("boom")), Awaited()
    for listener in (Called(), failing, other):
        listeners.add(listener)

    listeners.on_sent(b'{"type":"x"}')

    assert other.sent == [{"type": "x"}]
    assert len(caplog.records) == 1
