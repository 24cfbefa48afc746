"""
Each sender has one name, and no two have the same.
"""

from __future__ import annotations

import gc

from eventbus.journal._sessions import SenderNames


class Session:
    """
    A sender.
    """


def test_strings_and_numbers_are_their_own_names():
    """
    Strings and integers are written as they are.
    """
    name = SenderNames().name

    assert [name(each) for each in ("call-42", 7, None, "Grüße", True)] == [
        "call-42", 7, None, "Grüße", 1,
    ]  # fmt: skip
    assert name(1 << 70) == str(1 << 70)


def test_what_utf8_cant_have_is_spelled_out():
    """
    Half a surrogate pair doesn't keep a sender from being recorded.
    """
    assert SenderNames().name("call-\ud800") == "call-\\ud800"


def test_objects_are_named_by_class_and_number():
    """
    An object keeps its name, and another one gets another.
    """
    name = SenderNames().name
    one, two = Session(), Session()

    assert [name(one), name(two), name(one)] == ["Session#1", "Session#2", "Session#1"]


def test_name_of_a_dead_sender_is_not_used_again():
    """
    An object that takes a dead one's place in memory has a name of its own.
    """
    names = SenderNames()
    seen = set()
    for _ in range(20):
        seen.add(names.name(Session()))

    assert len(seen) == 20


def test_sender_that_has_no_weak_references_is_kept():
    """
    So its id stays its own.
    """
    names = SenderNames()
    seen = {names.name((1, n)) for n in range(20)}

    assert len(seen) == 20


def test_names_dont_keep_senders_alive():
    """
    A session that is over goes, and so does its name.
    """
    names = SenderNames()
    names.name(Session())
    gc.collect()

    assert names._names == names._holders == {}  # there is no other sign of it
