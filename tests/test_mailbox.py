"""
The queue in front of an async handler: the events that find room, and those dropped for them.
"""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import Mailbox, OptionError, Overflow
from eventbus._core.queue import MailboxQueue


def make_queue(capacity, overflow):
    return MailboxQueue(Mailbox(capacity, overflow), None, None, None, None)


# --- the setting -----------------------------------------------------------------------------


def test_default_mailbox_holds_65_536_and_drops_the_oldest():
    """
    Without settings a mailbox is large, never makes a publisher wait, and favours new events.
    """
    mailbox = Mailbox()

    assert mailbox.capacity == 65_536
    assert mailbox.overflow is Overflow.DROP_OLDEST
    assert mailbox.purged_by == ()


@pytest.mark.parametrize("capacity", [0, -1, True, 1.5, "10", None])
def test_capacity_that_is_no_positive_integer_is_refused(capacity):
    """
    A mailbox has room for at least one event.
    """
    with pytest.raises(OptionError, match="capacity") as caught:
        Mailbox(capacity=capacity)

    assert caught.value.option == "capacity"


@pytest.mark.parametrize("overflow", ["drop_oldest", None, 1])
def test_overflow_that_is_no_member_is_refused(overflow):
    """
    A policy is a member of `Overflow`, not its value.
    """
    with pytest.raises(OptionError, match="member of Overflow") as caught:
        Mailbox(overflow=overflow)

    assert caught.value.option == "overflow"


def test_purged_by_takes_one_class_or_several():
    """
    A single class needs no tuple around it.
    """
    assert Mailbox(purged_by=int).purged_by == (int,)
    assert Mailbox(purged_by=[int, str]).purged_by == (int, str)
    assert Mailbox(purged_by=int | str).purged_by == (int, str)


@pytest.mark.parametrize("purged_by", [("interrupted",), 3, None])
def test_purged_by_that_is_no_class_is_refused(purged_by):
    """
    A mailbox is purged by event classes only.
    """
    with pytest.raises(OptionError, match="event classes") as caught:
        Mailbox(purged_by=purged_by)

    assert caught.value.option == "purged_by"


# --- what is dropped -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overflow", "kept", "dropped"),
    [
        (Overflow.DROP_OLDEST, [2, 3], [1]),
        (Overflow.DROP_NEWEST, [1, 2], [3]),
        (Overflow.LATEST, [3], [1, 2]),
        (Overflow.RAISE, [1, 2], [3]),
        (Overflow.BLOCK, [1, 2, 3], []),
    ],
    ids=lambda value: value.name if isinstance(value, Overflow) else None,
)
def test_full_queue_drops_by_its_policy(overflow, kept, dropped):
    """
    Each policy decides which of the events is given up when there are too many.
    """
    queue = make_queue(2, overflow)
    queue.put(1)
    queue.put(2)

    assert queue.put(3) == dropped
    assert list(queue.items) == kept


def test_queue_of_one_with_latest_always_has_the_latest():
    """
    ``Mailbox(1, Overflow.LATEST)`` is a handler that only ever wants the newest state.
    """
    queue = make_queue(1, Overflow.LATEST)

    dropped = [queue.put(number) for number in range(4)]

    assert dropped == [[], [0], [1], [2]]
    assert list(queue.items) == [3]


Operations = st.lists(st.sampled_from(["put", "put", "put", "take", "clear"]), max_size=60)


@given(
    operations=Operations,
    capacity=st.integers(1, 5),
    overflow=st.sampled_from(Overflow),
)
def test_queue_behaves_like_its_model(operations, capacity, overflow):
    """
    After any puts and takes, only events returned as dropped are lost, none is doubled or
    reordered, and the capacity holds, unless it is the publisher that waits.
    """
    queue, model, put = make_queue(capacity, overflow), [], 0

    for operation in operations:
        if operation == "put":
            put += 1
            expected = []
            if len(model) >= capacity:
                match overflow:
                    case Overflow.DROP_OLDEST:
                        expected = [model.pop(0)]
                    case Overflow.LATEST:
                        expected, model = model, []
                    case Overflow.DROP_NEWEST | Overflow.RAISE:
                        expected = [put]
            if put not in expected:
                model.append(put)
            assert queue.put(put) == expected
        elif operation == "take" and model:
            assert queue.items.popleft() == model.pop(0)
        elif operation == "clear":
            assert queue.clear() == model
            model = []
        assert list(queue.items) == model
        assert queue.is_over_capacity == (len(model) > capacity)
        assert len(model) <= capacity or overflow is Overflow.BLOCK


# --- room ------------------------------------------------------------------------------------


async def test_publisher_that_waits_for_room_goes_on_when_something_is_taken():
    """
    `MailboxQueue.wait_room` returns once the queue is no more over its capacity.
    """
    queue, went_on = make_queue(1, Overflow.BLOCK), []
    queue.put(1)
    queue.put(2)

    async def wait():
        await queue.wait_room()
        went_on.append(len(queue.items))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert went_on == []
            queue.items.popleft()
            queue.make_room()

    assert went_on == [1, 1]


async def test_publisher_does_not_wait_while_there_is_room():
    """
    `MailboxQueue.wait_room` of a queue that holds no more than it should returns at once.
    """
    queue = make_queue(1, Overflow.BLOCK)
    queue.put(1)

    with anyio.fail_after(10):
        await queue.wait_room()

    assert queue.room is None


async def test_clearing_makes_room():
    """
    A publisher that waits for room in a queue that is given up goes on.
    """
    queue = make_queue(1, Overflow.BLOCK)
    queue.put(1)
    queue.put(2)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(queue.wait_room)
            await anyio.wait_all_tasks_blocked()
            queue.clear()
