"""
A tool is described by its function's signature, and accepts arguments that fit it and no others.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.exceptions import ToolArgumentsError, ToolDefinitionError
from eventbus.realtime.tools import Tool, ToolContext, output_text, tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Bunch:
    flower: str
    stems: int = 1
    also: Bunch | None = None


@dataclasses.dataclass
class Address:
    street: str


class Options(TypedDict, total=False):
    card: str


class Pair(NamedTuple):
    left: int
    right: int


class Line(pydantic.BaseModel):
    cents: int


class Bill(pydantic.BaseModel):
    lines: list[Line]


class Opaque:
    pass


def properties(function):
    return tool(name="f")(function).parameters["properties"]


# --- definitions -----------------------------------------------------------------------------


def test_name_and_description_come_from_the_function():
    """
    The description is the docstring's first paragraph, on one line; options go before both.
    """

    @tool
    def order(flower: str) -> None:
        """
        Order a flower,
        to be paid later.

        Not for the model.
        """

    renamed = tool(name="buy", description="Buy.", timeout=3, needs_approval=True)(order.function)

    assert (order.name, order.description) == ("order", "Order a flower, to be paid later.")
    assert (order.timeout, order.needs_approval, order.is_async) == (None, False, False)
    assert (renamed.name, renamed.description, renamed.timeout, renamed.needs_approval) == (
        "buy",
        "Buy.",
        3,
        True,
    )
    assert order.to_settings() == {
        "type": "function",
        "name": "order",
        "description": "Order a flower, to be paid later.",
        "parameters": order.parameters,
    }


def test_schema_has_types_defaults_and_descriptions():
    """
    A parameter without a default is required; no other argument may be given.
    """

    @tool
    def order(
        flower: Annotated[str, "Its English name"],
        stems: Annotated[int, msgspec.Meta(ge=1, description="How many")] = 12,
        wrap: bool | None = None,
        tags: list[str] = [],  # noqa: B006  # what users write
    ) -> None: ...

    assert order.parameters == {
        "type": "object",
        "properties": {
            "flower": {"type": "string", "description": "Its English name"},
            "stems": {"type": "integer", "minimum": 1, "description": "How many", "default": 12},
            "wrap": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["flower"],
        "additionalProperties": False,
    }
    assert order.arguments_from('{"flower": "tulip"}') == {
        "flower": "tulip",
        "stems": 12,
        "wrap": None,
        "tags": [],
    }


def of_type(hint):
    def function(value): ...

    function.__annotations__ = {"value": hint}
    return tool(function)


@pytest.mark.parametrize(
    ("hint", "given", "expected"),
    [
        (str, "a", "a"),
        (int, 3, 3),
        (float, 1.5, 1.5),
        (bool, True, True),
        (Any, {"a": [1]}, {"a": [1]}),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (int | str | None, None, None),
        (Literal["a", 1], 1, 1),
        (Colour, "red", Colour.RED),
        (date, "2026-03-01", date(2026, 3, 1)),
        (datetime, "2026-03-01T10:00:00", datetime(2026, 3, 1, 10)),  # noqa: DTZ001  # as given
        (Bunch, {"flower": "tulip", "also": {"flower": "x"}}, Bunch("tulip", 1, Bunch("x"))),
        (Address, {"street": "Elm"}, Address("Elm")),
        (Options, {"card": "4111"}, {"card": "4111"}),
        (Pair, [1, 2], Pair(1, 2)),
        (Bill, {"lines": [{"cents": 5}]}, Bill(lines=[Line(cents=5)])),
        (list[Bill], [{"lines": []}], [Bill(lines=[])]),
    ],
    ids=str,
)
def test_arguments_become_what_the_signature_says(hint, given, expected):
    """
    Classes with fields are built, also those of attrs, dataclasses and pydantic.
    """
    made = of_type(hint)

    assert made.arguments_from(json.dumps({"value": given})) == {"value": expected}
    json.dumps(made.parameters)


def test_schema_refers_to_what_is_in_it():
    """
    Each reference has its definition at the top, those of a pydantic model's parts too.
    """

    @tool
    def pay(bill: Bill, bunch: Bunch) -> None: ...

    assert pay.parameters["$defs"].keys() == {"Bunch", "Bill.Line"}
    assert pay.parameters["properties"]["bunch"] == {"$ref": "#/$defs/Bunch"}
    assert pay.parameters["properties"]["bill"]["properties"]["lines"]["items"] == {
        "$ref": "#/$defs/Bill.Line"
    }


def test_context_is_left_out_of_the_schema():
    """
    A first parameter that is a ToolContext is the session's business.
    """

    @tool
    async def order(context: ToolContext, flower: str) -> None: ...

    assert order.parameters["properties"].keys() == {"flower"}
    assert (order.wants_context, order.is_async) == (True, True)


def test_methods_partials_and_callables_can_be_tools():
    """
    Bound arguments are not the model's to give.
    """

    class Shop:
        def order(self, flower: str, stems: int = 1) -> str:
            """Order it."""
            return flower * stems

        def __call__(self, flower: str) -> str:
            return flower

    method = tool(Shop().order)
    bound = tool(name="bound")(functools.partial(Shop().order, "tulip"))
    dozen = tool(name="dozen")(functools.partial(Shop().order, stems=12))
    called = tool(name="called")(Shop())

    assert (method.name, method.description) == ("order", "Order it.")
    assert properties(Shop().order).keys() == {"flower", "stems"}
    assert (bound.parameters["properties"].keys(), bound()) == ({"stems"}, "tulip")
    assert dozen.arguments_from('{"flower": "x"}') == {"flower": "x", "stems": 12}
    assert called.arguments_from('{"flower": "x"}') == {"flower": "x"}


def test_class_of_an_enclosing_function_is_found_if_the_function_knows_it():
    """
    Annotations are texts in this module; one that is also used inside can be resolved.
    """

    @attrs.frozen
    class Local:
        x: int

    @tool
    def order(what: Local) -> Local:
        return Local(what.x)

    assert order.arguments_from('{"what": {"x": 1}}') == {"what": Local(1)}


def varargs(*flowers: str): ...
def kwargs(**flowers: str): ...
def positional(flower: str, /): ...
def untyped(flower): ...
def context_last(flower: str, context: ToolContext): ...
def opaque(flower: str, vase: Opaque | None = None): ...
def two_arrays(flowers: list[int] | set[int]): ...
def unknown(flower: Nowhere): ...  # noqa: F821  # that is what is tested
def generator():
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (varargs, {}, r"^varargs .*'flowers' .*any number"),
        (kwargs, {}, r"^kwargs .*'flowers' .*any number"),
        (positional, {}, r"^positional .*'flower' .*remove the /"),
        (untyped, {}, r"^untyped .*'flower' has no type; annotate it, like flower: str"),
        (context_last, {}, r"^context_last .*'context' is a ToolContext.*to the front"),
        (opaque, {}, r"^opaque .*'vase' has a type .*Opaque"),
        (two_arrays, {}, r"^two_arrays .*'flowers' has a type"),
        (unknown, {}, r"^unknown .*'Nowhere'.*define it"),
        (generator, {}, r"generator; return"),
        (Opaque, {}, r"a tool is a function, not type"),
        (3, {}, r"a tool is a function, not int"),
        (lambda: 0, {}, r"<lambda> .*pass name="),
        (positional, {"name": "a b"}, r"^a b .*letters"),
        (untyped, {"timeout": 0}, r"timeout= is a positive number.*not 0"),
        (untyped, {"timeout": True}, r"timeout="),
        (untyped, {"needs_approval": "yes"}, r"needs_approval= .*'yes'"),
        (tool(name="x")(lambda: 0), {}, r"a tool already"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function, options, problem):
    """
    The error names the function, the parameter and the remedy, when the tool is defined.
    """
    with pytest.raises(ToolDefinitionError, match=problem):
        tool(**options)(function)


def test_tool_can_be_called_like_its_function():
    """
    A test of the application's needs no session.
    """

    @tool
    def double(x: int) -> int:
        return 2 * x

    assert isinstance(double, Tool)
    assert (double(2), double(x=3)) == (4, 6)


# --- arguments -------------------------------------------------------------------------------


@tool
def everything(
    flower: str,
    stems: int = 1,
    colour: Literal["red", "blue"] = "red",
    bill: Bill | None = None,
    bunch: Bunch | None = None,
) -> None: ...


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"required field `flower`"),
        ("{", r"no JSON"),
        ("nonsense", r"no JSON"),
        ("[]", r"Expected `object`, got `array`"),
        ("null", r"got `null`"),
        ('{"flower": 3}', r"Expected `str`, got `int` - at `\$\.flower`"),
        ('{"flower": "x", "stems": "hunter2"}', r"Expected `int`, got `str` - at `\$\.stems`"),
        ('{"flower": "x", "stems": 1.5}', r"at `\$\.stems`"),
        ('{"flower": "x", "colour": "hunter2"}', r"Invalid enum value - at `\$\.colour`"),
        ('{"flower": "x", "price": 3}', r"unknown field `price`"),
        (
            '{"flower": "x", "bill": {"lines": [{"cents": "hunter2"}]}}',
            r"lines\.0\.cents: int_parsing - at `\$\.bill`",
        ),
        ('{"flower": "x", "bunch": {"flower": null}}', r"at `\$\.bunch\.flower`"),
        ('{"flower": ' + "[" * 5000, r"nested too deeply|no JSON|Expected `str`"),
    ],
)
def test_wrong_arguments_are_told_without_their_values(text, problem):
    """
    The error names the tool, the problem and its place; nothing in it quotes the arguments.
    """
    with pytest.raises(ToolArgumentsError, match=problem) as caught:
        everything.arguments_from(text)

    assert str(caught.value).startswith("The arguments of everything are wrong: ")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.tool == "everything"


def test_no_arguments_are_an_empty_object():
    """
    Models write nothing where there is nothing to write.
    """

    @tool
    def now() -> str:
        return "noon"

    assert now.arguments_from("") == now.arguments_from(" {} ") == {}


@settings(max_examples=30)
@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("flower"), inner),
    ).map(json.dumps)
)
def test_any_text_gives_arguments_or_the_one_error(text):
    """
    Any text of a model gives arguments that fit the signature, or a ToolArgumentsError.
    """
    try:
        arguments = everything.arguments_from(text)
    except ToolArgumentsError:
        return
    assert type(arguments["flower"]) is str


# --- results ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        ({"a": 1}, '{"a":1}'),
        (Line(cents=5), '{"cents":5}'),
        (Address("Elm"), '{"street":"Elm"}'),
        (Bill(lines=[Line(cents=5)]), '{"lines":[{"cents":5}]}'),
        ([Colour.RED, date(2026, 3, 1)], '["red","2026-03-01"]'),
    ],
    ids=str,
)
def test_result_is_text_or_json(result, text):
    """
    A string goes to the model as it is, anything else as JSON.
    """
    assert output_text(result) == text


def test_result_of_an_attrs_class_is_its_fields():
    """
    The names are the fields', in any order.
    """
    expected = {"flower": "tulip", "stems": 1, "also": None}

    assert json.loads(output_text(Bunch("tulip"))) == expected


def test_result_that_is_no_data_is_refused():
    """
    The error names the class that can't be written.
    """
    with pytest.raises(TypeError, match=r"^Opaque can't be written as JSON"):
        output_text([Opaque()])
