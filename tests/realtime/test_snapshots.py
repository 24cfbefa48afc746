"""
A snapshot of the history is as good as a tuple.
"""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.items import UserMessageItem
from eventbus.realtime.history import HistorySnapshot, as_history

ITEMS = tuple(UserMessageItem(f"item_{n}") for n in range(5))
OTHER = UserMessageItem("other")


@given(st.dictionaries(st.integers(0, 4), st.just(OTHER)), st.slices(5), st.integers(-7, 7))
def test_snapshot_reads_like_the_tuple_of_its_items(changed, part, index):
    """
    Length, indexes, slices, iteration and comparison are those of a tuple.
    """
    expected = tuple(changed.get(place, item) for place, item in enumerate(ITEMS))
    snapshot = HistorySnapshot(ITEMS, changed)

    if -5 <= index < 5:
        assert snapshot[index] == expected[index]
    else:
        with pytest.raises(IndexError):
            snapshot[index]
    assert len(snapshot) == 5
    assert HistorySnapshot(ITEMS, changed)[part] == expected[part]
    assert snapshot == expected
    assert snapshot == list(expected)
    assert snapshot == HistorySnapshot(expected)
    assert snapshot != expected[:4]
    assert (snapshot == 5) is False
    assert hash(snapshot) == hash(expected)
    assert (OTHER in snapshot) == bool(changed)
    assert tuple(snapshot) == tuple(reversed(tuple(reversed(snapshot)))) == expected


def test_snapshot_can_be_copied_and_shows_no_content():
    """
    A copy is equal; the repr has the number of items.
    """
    snapshot = HistorySnapshot(ITEMS, {1: OTHER})

    assert pickle.loads(pickle.dumps(snapshot)) == copy.deepcopy(snapshot) == snapshot
    assert repr(snapshot) == "<HistorySnapshot of 5 items>"


def test_other_iterables_become_tuples():
    """
    A list that somebody may change isn't kept.
    """
    snapshot = HistorySnapshot(ITEMS)

    assert as_history(snapshot) is snapshot
    assert as_history([OTHER]) == (OTHER,)
