"""
Plain data becomes the same as in Python code, or an error with the path to the mistake.
"""

from __future__ import annotations

import math

import attrs
import pytest

from eventbus.exceptions import ScenarioError
from eventbus.simulator._script.config_reader import FLAG, TEXT, Many, Number, Struct, read


def _tuple(given):
    return tuple(given)


@attrs.frozen
class Leaf:
    name: str = attrs.field(validator=TEXT)
    size: float = attrs.field(default=1, validator=Number(0, 10))
    count: int | None = attrs.field(default=None, validator=Number(is_whole=True))
    is_green: bool = attrs.field(default=False, validator=FLAG)


@attrs.frozen(kw_only=True)
class Tree:
    leaf: Leaf | None = attrs.field(default=None, validator=Struct(lambda: Leaf, short="name"))
    leaves: tuple[Leaf, ...] = attrs.field(
        default=(), converter=_tuple, validator=Many(Struct(lambda: Leaf, short="name"))
    )
    names: tuple[str, ...] = attrs.field(
        default=(), converter=_tuple, validator=Many(TEXT, or_one=True)
    )


def test_plain_data_becomes_instances():
    """
    Mappings become instances, a text alone the field that it is short for, lists tuples.
    """
    data = {"leaf": "a", "leaves": [{"name": "b", "size": 2.5}, "c"], "names": "d"}

    assert read(Tree, data) == Tree(
        leaf=Leaf("a"), leaves=(Leaf("b", 2.5), Leaf("c")), names=("d",)
    )


def test_null_is_what_is_not_given():
    """
    Null is accepted for a field whose default is None.
    """
    assert read(Tree, {"leaf": None}) == Tree()
    assert read(Leaf, {"name": "a", "count": None}) == Leaf("a")


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        ({"lef": 1}, "lef", "There is no 'lef' here; did you mean leaf?"),
        ({"x": 1}, "x", "There is no 'x' here; there are leaf, leaves, names."),
        ({1: 1}, "1", "There is no 1 here"),
        ({"leaf": {"name": 5}}, "leaf.name", "name is a text, not 5; put quotes around it."),
        ({"leaf": {"name": True}}, "leaf.name", "name is a text, not true"),
        ({"leaf": {"size": 1}}, "leaf", "name is missing; it has size."),
        ({"leaf": {}}, "leaf", "name is missing; it has nothing."),
        ({"leaf": 3}, "leaf", "leaf is a mapping with some of name, size, count, is_green, not 3."),
        (
            {"leaves": [{"name": "a"}, {"name": "b", "size": 11}]},
            "leaves[1].size",
            "size is a number from 0 to 10, not 11.",
        ),
        ({"leaves": "a"}, "leaves", "leaves is a list, not 'a'; begin each entry with a dash."),
        ({"leaves": None}, "leaves", "leaves is a list, not nothing"),
        ({"leaves": [[]]}, "leaves[0]", "an entry of leaves is a mapping"),
        ({"names": ["a", 2]}, "names[1]", "an entry of names is a text, not 2"),
        ({"leaf": {"name": "a", "count": 1.5}}, "leaf.count", "count is a whole number, not 1.5."),
        ({"leaf": {"name": "a", "size": True}}, "leaf.size", "size is a number from 0 to 10"),
        ({"leaf": {"name": "a", "size": math.nan}}, "leaf.size", "size is a number"),
        (
            {"leaf": {"name": "a", "is_green": 1}},
            "leaf.is_green",
            "is_green is true or false, not 1.",
        ),
    ],
)
def test_mistake_is_found_with_its_path(data, path, problem):
    """
    The path leads to the key or the entry, and the message names the allowed values.
    """
    with pytest.raises(ScenarioError) as caught:
        read(Tree, data)

    assert str(caught.value).startswith(problem)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: Leaf(5), "name"),
        (lambda: Leaf("a", 11), "size"),
        (lambda: Tree(leaf={"name": "a"}), "leaf"),
        (lambda: Tree(leaf="a"), "leaf"),
        (lambda: Tree(leaves=[Leaf("a"), {"name": "b"}]), "leaves[1]"),
        (lambda: Tree(leaves=["a"]), "leaves[0]"),
        (lambda: Tree(names=[1]), "names[0]"),
    ],
)
def test_python_code_gives_instances(make, path):
    """
    The constructors check the same, and take no plain data in place of an instance.
    """
    with pytest.raises(ScenarioError) as caught:
        make()

    assert caught.value.path == path
