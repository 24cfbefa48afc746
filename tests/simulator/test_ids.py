"""
Ids: unlike each other, and the same for the same seed.
"""

from __future__ import annotations

from eventbus.simulator._service.ids import Ids


def test_ids_look_like_the_services():
    """
    An id is its kind and 21 letters and digits.
    """
    kind, _, rest = Ids(1).new("item").partition("_")

    assert kind == "item"
    assert len(rest) == 21
    assert rest.isalnum()


def test_equal_seeds_give_equal_ids():
    """
    The ids of a seed are always the same ones, in the same order; those of another are others.
    """

    def some(seed):
        ids = Ids(seed)
        return [ids.new("item") for _ in range(5)]

    assert some(7) == some(7)
    assert len({*some(7), *some(8), *some("7/1")}) == 15


def test_kinds_do_not_disturb_each_other():
    """
    The number of earlier events has no influence on the next item's id.
    """
    quiet, busy = Ids(1), Ids(1)
    for _ in range(9):
        busy.new("event")

    assert quiet.new("item") == busy.new("item")
