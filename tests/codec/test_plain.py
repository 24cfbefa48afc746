"""
Plain data keep their classes; others are tagged.
"""

from __future__ import annotations

import collections
import enum
import math
import re
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given

from eventbus.codec import dumps, from_plain
from eventbus.codec._plain import Plain
from eventbus.exceptions import CodecError, RemoteException
from tests.codec.journeys import FORMATS, Shade, every_format, other, plain


class Level(enum.IntEnum):
    HIGH = 3


@given(plain)
@example({"$bytes": "eA=="})
@example({"$v": 1, "type": "audio"})
@example({"$map": []})
@example([{"$class": "Usage"}, {1: 2, "1": 3}])
def test_plain_data_keeps_its_classes(data):
    """
    Nested data comes back with the very classes it had: tuples, bytes, sets, keys of any kind.
    """
    for travel in FORMATS.values():
        assert shape(travel(other(data)).data) == shape(data)


def shape(value):
    """Return a form that is equal for equal values of the same classes only."""
    cls = type(value)
    if cls in (list, tuple):
        return cls, tuple(map(shape, value))
    if cls in (set, frozenset):
        return cls, frozenset(map(shape, value))
    if cls is dict:
        return cls, tuple((shape(key), shape(item)) for key, item in value.items())
    return cls, repr(value)


@every_format
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_lacks_survive(value, travel):
    """
    NaN and the infinities come back, also from JSON.
    """
    assert repr(travel(other(value)).data) == repr(value)


@every_format
@pytest.mark.parametrize(
    "value",
    [
        Shade.DARK,
        Level.HIGH,
        collections.OrderedDict(a=1),
        MappingProxyType({"a": [1]}),
        bytearray(b"abc"),
        memoryview(b"abc"),
        collections.namedtuple("Point", "x y")(1, 2),  # noqa: PYI024 - the test is about tuples
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_plain_equal_comes_back_as_that(value, travel):
    """
    A subclass of a plain class, a mapping or a buffer comes back as the plain class, and equal.
    """
    data = travel(other(value)).data

    assert data == value
    assert type(data) in {str, int, dict, bytes, tuple}


@every_format
def test_exception_anywhere_is_an_exception_again(travel):
    """
    Without a declared type, an exception is tagged, so that it comes back as one.
    """
    data = travel(other([KeyError("k")])).data

    assert data == [RemoteException("KeyError", "'k'")]


def test_ambiguous_local_time_is_refused():
    """
    A time that differs from its text would come back as another time.
    """
    twice = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))

    for when in (twice, twice.replace(fold=0), twice.replace(tzinfo=None)):
        with pytest.raises(CodecError, match="convert it to UTC"):
            dumps(other(when))


def test_tags_are_those_of_the_specification(checkout):
    """
    The table of tags in ``format.md`` has each tag that is read, and no other.
    """
    text = (checkout / "docs" / "reference" / "format.md").read_text(encoding="utf-8")
    table = text.partition("## Tags")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `$")]

    assert sorted(re.findall(r"\$\w+", " ".join(cells))) == sorted(Plain(id, id, id).tags)


@pytest.mark.parametrize("last", [{"$v": 1, "type": "x.y"}, {"$class": "X"}, {"$tuple": []}])
def test_tag_after_other_keys_does_not_multiply_the_work(last):
    """
    Data nested 60 deep, with the tag behind the content, are read (or refused) in no time.
    """
    data = 0
    for _ in range(60):
        data = {"a": data, **last}

    try:
        from_plain({"$v": 1, "type": "other", "data": data})
    except CodecError as error:
        assert "known tag" in str(error)  # noqa: PT017 - it need not be raised


def test_mapping_with_keys_of_both_kinds_does_not_multiply_the_work():
    """
    Data nested 60 deep, with a key that is not a str behind the content, are written in no time.
    """
    data = {}
    for _ in range(60):
        data = {"a": data, 1: None}

    assert dumps(other(data)).count("$map") == 60
