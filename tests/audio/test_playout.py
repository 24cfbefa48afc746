"""
`eventbus.audio.PlayoutQueue`: the next piece to play, and the item it belongs to.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventbus.audio import Played, PlayoutQueue


def test_pieces_are_heard_in_order_and_silence_after_them():
    """
    A portion goes across pieces, names the pieces in it, and ends in silence.
    """
    queue = PlayoutQueue()
    queue.add(Played("a", 0, b"1234"))
    queue.add(Played("b", 1, b"56"))

    assert queue.take(2) == (b"12", [Played("a", 0, b"12")])
    assert len(queue) == 4
    assert queue.take(8) == (b"3456\0\0\0\0", [Played("a", 0, b"34"), Played("b", 1, b"56")])
    assert queue.take(2) == (b"\0\0", [])


def test_nothing_is_heard_after_clear():
    """
    Waiting audio is gone at once, the rest of a piece that has begun included.
    """
    queue = PlayoutQueue()
    queue.add(Played("a", 0, b"1234"))
    queue.take(2)

    queue.clear()
    queue.add(Played("b", 0, b"56"))

    assert queue.take(2) == (b"56", [Played("b", 0, b"56")])
    assert len(queue) == 0


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 15)))
def test_every_byte_is_heard_once(pieces, sizes):
    """
    Added and taken in any portions, the audio heard is the audio added, in order, and no more.
    """
    queue = PlayoutQueue()
    for number, data in enumerate(pieces):
        queue.add(Played(str(number), 0, data))

    taken = [queue.take(size) for size in [*sizes, 400]]
    whole = b"".join(pieces)

    assert (
        b"".join(piece.data for _, played in taken for piece in played) == whole[: sum(sizes) + 400]
    )
    assert [len(data) for data, _ in taken] == [*sizes, 400]


def test_gap_within_an_item_is_an_underrun():
    """
    A queue that runs empty within an item counts one underrun per gap; a pause between two items,
    and the silence after an interruption, are not underruns.
    """
    queue = PlayoutQueue()
    queue.take(2)
    for _ in range(3):
        queue.add(Played("a", 0, b"12"))
        queue.take(4)
        queue.take(4)
    assert queue.underruns == 2

    queue.add(Played("b", 0, b"12"))
    queue.take(4)
    queue.clear()
    queue.add(Played("b", 0, b"12"))

    assert queue.underruns == 2
