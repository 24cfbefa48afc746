"""
A declared type decides the form of a value, and refuses others.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal

import attrs
import pytest

from eventbus.codec._declared import Declared
from eventbus.codec._faults import Fault
from eventbus.codec._plain import Plain


def no_object(value):
    raise NotImplementedError(value)


class Size(enum.Enum):
    LARGE = ("l", 2)


def travel(declared, value):
    """Return the written form of a field of type *declared*, and the value read from it."""
    cls = attrs.make_class("Holder", {"value": attrs.field(type=declared)})
    fields = Declared(Plain(no_object, no_object, bytes.fromhex), own_rules={})
    written = fields.dump_fields(cls(value), {})
    return written["value"], fields.load_fields(cls, written).value


@pytest.mark.parametrize(
    ("declared", "value", "written"),
    [
        (int, 1 << 70, {"$int": "400000000000000000"}),
        (float, 1, 1),
        (date, date(2024, 2, 29), {"$date": "2024-02-29"}),
        (Literal["a", 1], "a", "a"),
        (Literal["\ud800"], "\ud800", {"$str": b"\xed\xa0\x80"}),
        (Size, Size.LARGE, {"$tuple": ["l", 2]}),
        (list[int], [1], [1]),
        (tuple[int, ...], (1,), [1]),
        (tuple[int, str], (1, "a"), {"$tuple": [1, "a"]}),
        (set[int], {1}, {"$set": [1]}),
        (Sequence[int], [1], [1]),
        (Sequence[int], (1,), {"$tuple": [1]}),
        (Collection[int], frozenset({1}), {"$frozenset": [1]}),
        (Mapping[str, Size], {"a": Size.LARGE}, {"a": {"$tuple": ["l", 2]}}),
        (Mapping[Size, int], {Size.LARGE: 1}, {"$map": [[{"$tuple": ["l", 2]}, 1]]}),
        (Mapping[str, int], {"$a": 1}, {"$map": [["$a", 1]]}),
        (list[int] | tuple[int, ...], (1,), {"$tuple": [1]}),
        (int | None, None, None),
    ],
)
def test_declared_type_gives_the_short_form_if_it_leaves_no_choice(declared, value, written):
    """
    The value is written as the format's table says, and comes back equal and of its class.
    """
    data, came = travel(declared, value)

    assert data == written
    assert came == value
    assert type(came) is type(value)


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        (int, True, "expected int, not bool"),
        (Literal[1], True, "expected 1, not True"),
        (Literal[1, "a"], 1.0, "expected 1 or 'a', not 1.0"),
        (Size, ("l", 2), "expected Size, not tuple"),
        (list[int], (1,), "expected list, not tuple"),
        (Sequence[int], "ab", "expected list or tuple, not str"),
        (Mapping[str, int], [], "expected a mapping, not list"),
        (tuple[int, str], [1, "a"], "expected tuple, not list"),
        (BaseException, "boom", "expected an exception, not str"),
        (int | str | None, 0.5, "expected int or str, not float"),
    ],
)
def test_value_of_another_type_is_refused(declared, value, message):
    """
    A value of another type would come back as something else, and isn't written.
    """
    with pytest.raises(Fault, match=message):
        travel(declared, value)
