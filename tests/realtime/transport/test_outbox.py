from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.realtime.transport._outbox import Outbox, OutgoingMessage


def audio(number, size=10):
    """
    Return a message that may be dropped.
    """
    return OutgoingMessage(b"a" * size, {"number": number}, audio_bytes=size)


def control(number, size=10):
    """
    Return a message that is never dropped.
    """
    return OutgoingMessage(b"c" * size, {"number": number})


def numbers(outbox):
    """
    Empty the outbox; return its messages.
    """
    return [message.message["number"] for message in iter(outbox.take, None)]


@pytest.fixture
def outbox():
    """
    An outbox with room for ten of these messages.
    """
    return Outbox(100)


def test_first_in_is_first_out(outbox):
    """
    Audio and the rest keep the order in which they came.
    """
    for number in range(10):
        outbox.put(control(number) if number % 3 else audio(number))

    assert len(outbox) == 10
    assert numbers(outbox) == list(range(10))
    assert (len(outbox), outbox.byte_count) == (0, 0)


def test_oldest_audio_gives_way(outbox):
    """
    Without room the oldest audio is dropped, and the messages between stay.
    """
    outbox.put(control(0))
    for number in range(1, 13):
        outbox.put(audio(number))

    assert numbers(outbox) == [0, *range(4, 13)]


def test_audio_gives_way_to_what_is_never_dropped(outbox):
    """
    A message that isn't audio gets its room from the audio.
    """
    for number in range(10):
        outbox.put(audio(number))

    assert outbox.has_room(control(10, size=95))
    outbox.put(control(10, size=95))

    assert numbers(outbox) == [10]


def test_audio_finds_no_room_among_what_is_never_dropped(outbox):
    """
    Then it is the newest that is dropped, as it is the only one.
    """
    outbox.put(control(0, size=100))

    assert outbox.put(audio(1))
    assert numbers(outbox) == [0]


def test_what_is_never_dropped_has_a_bound_as_well(outbox):
    """
    There is room for messages within the bound, and for one message of any size.
    """
    assert outbox.has_room(control(0, size=1_000))
    outbox.put(control(0, size=60))

    assert outbox.has_room(control(1, size=40))
    assert not outbox.has_room(control(1, size=41))


def test_burst_of_drops_is_told_once(outbox):
    """
    The next burst begins when the outbox has run empty.
    """
    told = [outbox.put(audio(number)) for number in range(30)]
    assert told.count(True) == 1
    assert told[10]

    numbers(outbox)

    assert [outbox.put(audio(number)) for number in range(30)].count(True) == 1


def test_what_is_cleared_is_returned(outbox):
    """
    In its order, and there is room for as much again.
    """
    outbox.put(audio(0))
    outbox.put(control(1))

    assert [message.message["number"] for message in outbox.clear()] == [0, 1]
    assert (len(outbox), outbox.byte_count) == (0, 0)
    assert outbox.take() is None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)) | st.none()))
def test_order_and_bound_hold_whatever_comes(steps):
    """
    Messages come out in the order in which they went in, with all that are never dropped.
    """
    outbox = Outbox(100)
    put, taken = [], []
    for number, step in enumerate(steps):
        if step is None:
            message = outbox.take()
            taken += [] if message is None else [message.message["number"]]
        else:
            message = audio(number, step[1]) if step[0] else control(number, step[1])
            if message.is_audio or outbox.has_room(message):
                put.append(message)
                outbox.put(message)
                assert outbox.byte_count <= 100
    taken += numbers(outbox)

    assert taken == sorted(taken)
    kept = {message.message["number"] for message in put if not message.is_audio}
    assert kept <= set(taken) <= {message.message["number"] for message in put}
