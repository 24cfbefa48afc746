"""
`eventbus.realtime.session`: problems that a session can't solve are reported, once.
"""

from __future__ import annotations

import anyio
import pytest

from eventbus import EventBus, Mailbox, MailboxFull, Overflow
from eventbus.realtime.session import SessionPublisher
from tests.support import crashes, raiser


class Ping:
    pass


async def test_full_mailbox_is_reported_once(bus):
    """
    Of the drops of one handler, the first is an Exception event with the session as its sender.
    """
    gate = anyio.Event()

    @bus.on(Ping, mailbox=Mailbox(1, Overflow.RAISE))
    async def slow(event):
        await gate.wait()

    failed = crashes(bus)
    async with bus:
        publisher = SessionPublisher(bus, "call-1")
        for _ in range(5):
            publisher.publish(Ping())
        gate.set()

    [report] = failed
    assert isinstance(report.exception, MailboxFull)
    assert (report.handler, report.sender) == (slow, "call-1")


async def test_handler_of_reports_may_be_full_as_well(bus):
    """
    A report that has no room itself is dropped, and the publisher goes on.
    """
    gate = anyio.Event()

    @bus.on(object, mailbox=Mailbox(1, Overflow.RAISE))
    async def slow(event):
        await gate.wait()

    async with bus:
        publisher = SessionPublisher(bus, None)
        for _ in range(5):
            publisher.publish(Ping())
        gate.set()

    assert bus.stats.dropped > 0


async def test_bus_that_does_not_run_is_logged_once(bus, caplog):
    """
    Nobody can hear it any more, and the session need not end for that.
    """
    async with bus:
        publisher = SessionPublisher(bus, None)

    publisher.publish(Ping())
    publisher.publish(Ping())

    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_strict_bus_raises():
    """
    A handler's exception on a strict bus reaches the publisher.
    """
    bus = EventBus(strict=True)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    with pytest.raises(ValueError, match="boom"):
        SessionPublisher(bus, None).publish(Ping())


def test_event_is_wanted_where_somebody_gets_it(bus):
    """
    A handler of the session's sender counts, one of another doesn't.
    """
    bus.subscribe(lambda event: None, Ping, sender="call-1")

    assert SessionPublisher(bus, "call-1").is_wanted(Ping)
    assert not SessionPublisher(bus, "call-2").is_wanted(Ping)
