"""
Checks made of checks: the values that they accept, and the path that they name.
"""

from __future__ import annotations

import pytest

from eventbus.simulator._service.checks import (
    RequestError,
    anything,
    choice,
    flag,
    integer,
    list_of,
    nullable,
    number,
    one_of,
    record,
    strings,
    tagged,
    text,
)

POINT = record({"x": integer(low=0), "y": nullable(integer(low=0, high=9))}, required=["x"])
SHAPE = tagged("kind", {"dot": record({"kind": anything, "at": POINT}, required=["at"])})
ANY_SHAPE = one_of("a shape or its name", str=choice("none"), dict=SHAPE)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (text(max_length=2, pattern="[ab]+"), "ab"),
        (choice("a", "b"), "b"),
        (flag, False),
        (integer(low=-1), -1),
        (number(low=0, high=1), 1),
        (number(low=0, high=1), 0.5),
        (nullable(flag), None),
        (list_of(flag, max_length=2), [True, False]),
        (POINT, {"x": 1}),
        (POINT, {"x": 1, "y": None}),
        (ANY_SHAPE, "none"),
        (ANY_SHAPE, {"kind": "dot", "at": {"x": 0}}),
        (strings(max_length=1, max_key=1, max_value=1), {"a": "b"}),
    ],
)
def test_what_fits_is_accepted(check, value):
    """
    A check says nothing about a value that fits.
    """
    assert check(value, "p") is None


@pytest.mark.parametrize(
    ("check", "value", "path", "code"),
    [
        (text(), None, "p", "invalid_type"),
        (text(max_length=2), "abc", "p", "string_above_max_length"),
        (text(pattern="[ab]+"), "abc", "p", "invalid_value"),
        (choice("a"), "b", "p", "invalid_value"),
        (choice("a"), ["a"], "p", "invalid_type"),
        (flag, 1, "p", "invalid_type"),
        (integer(low=0), True, "p", "invalid_type"),
        (integer(low=0), 1.0, "p", "invalid_type"),
        (integer(low=0), -1, "p", "integer_below_min_value"),
        (integer(low=0), 2**31, "p", "integer_above_max_value"),
        (number(low=0, high=1), 1.01, "p", "decimal_above_max_value"),
        (number(low=0, high=1), False, "p", "invalid_type"),
        (list_of(flag), {}, "p", "invalid_type"),
        (list_of(flag), [True, 1], "p[1]", "invalid_type"),
        (list_of(flag, max_length=1), [True, 1], "p", "array_above_max_length"),
        (POINT, {}, "p.x", "missing_required_parameter"),
        (POINT, {"x": 1, "z": 1}, "p.z", "unknown_parameter"),
        (POINT, [], "p", "invalid_type"),
        (ANY_SHAPE, True, "p", "invalid_type"),
        (ANY_SHAPE, {"kind": "dot", "at": {"x": 0, "y": 10}}, "p.at.y", "integer_above_max_value"),
        (ANY_SHAPE, {"kind": "line"}, "p.kind", "invalid_value"),
        (ANY_SHAPE, {}, "p.kind", "missing_required_parameter"),
        (strings(max_length=1, max_key=1, max_value=1), {"a": 1}, "p.a", "invalid_type"),
        (
            strings(max_length=1, max_key=1, max_value=1),
            {"a": "", "b": ""},
            "p",
            "object_above_max_properties",
        ),
    ],
)
def test_what_does_not_fit_is_named(check, value, path, code):
    """
    The refusal has the path of the wrong value, at any depth.
    """
    with pytest.raises(RequestError) as raised:
        check(value, "p")

    assert (raised.value.param, raised.value.code) == (path, code)


def test_top_level_has_no_dot():
    """
    A field of the message itself is named by its name.
    """
    with pytest.raises(RequestError) as raised:
        POINT({"x": "1"}, "")

    assert raised.value.param == "x"


@pytest.mark.parametrize(
    ("values", "listing"), [("a", "'a'"), ("ab", "'a' and 'b'"), ("abc", "'a', 'b', and 'c'")]
)
def test_choices_are_listed(values, listing):
    """
    A message names all there is, as the service does.
    """
    with pytest.raises(RequestError, match=rf"Supported values are: {listing}\.$"):
        choice(*values)("d", "path")
