"""
Arguments that are made up fit the schema that they are made up from.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.simulator._script.example_values import example_value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Oslo"),
        ({"type": "string", "enum": ["c", "f"]}, "c"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1.0),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "Oslo"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "string", "examples": ["y"]}, "y"),
        ({}, None),
    ],
)
def test_value_has_the_type_of_its_schema(schema, value):
    """
    A choice, a default and an example go before the type.
    """
    assert example_value(schema, "Oslo") == value


def test_object_has_its_required_properties():
    """
    Required ones are there, also by reference; the others are not.
    """
    schema = {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}, "unit": {"type": "string"}},
        "required": ["city"],
        "$defs": {
            "City": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
            }
        },
    }

    assert example_value(schema, "Oslo") == {"city": {"name": "Oslo"}}


@pytest.mark.parametrize("reference", ["#/$defs/Nowhere", "#/$defs/Loop", "http://elsewhere"])
def test_reference_that_leads_nowhere_ends(reference):
    """
    A schema is the client's: one that is wrong, or contains itself, gives something, and soon.
    """
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": reference}},
        "required": ["a"],
        "$defs": {"Loop": {"$ref": "#/$defs/Loop"}},
    }

    assert example_value(schema, "x") == {"a": None}


def test_schema_that_contains_itself_ends():
    """
    A schema of a tree that requires a tree inside is cut off at some depth.
    """
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}

    assert str(example_value(schema, "x")).count("next") < 20


KEYS = ["type", "properties", "required", "enum", "anyOf", "$ref", "a", "default", "examples"]
JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["a", "#", "#/a", "object", "string"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=10,
)


@settings(max_examples=25)
@given(JSON)
def test_anything_may_stand_for_a_schema(schema):
    """
    The client's schema can be any JSON; the example value is JSON.
    """
    json.dumps(example_value(schema, "x"))
