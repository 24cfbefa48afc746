"""
Makes the objects that come most often, faster than their own constructors do.

attrs' frozen classes set each field with ``object.__setattr__``, which is half
of the cost of decoding a short audio frame. Here, an instance of a twin is
filled instead, a class with the same slots that isn't frozen, and then it
changes its class. The result is the very object that the constructor makes:
same class, same values, as frozen as any other.

CPython lets an instance change to a class with the same slots over the same
base. Where it doesn't, and for a class with a constructor that does more than set
its fields, the constructor is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

from ._event_base import set_mark

_T = TypeVar("_T")

_CONSTANTS = ("type", "role", "heard")


def constructor(
    cls: type[_T], *, late: Callable[[Any], Any] | None = None, is_marked: bool = False
) -> Callable[..., _T]:
    """
    Return a function that makes instances of *cls*, and isn't slowed by its being frozen.

    It takes every field but those that no frame sets (``type``, ``role`` and ``heard``), in order,
    positional only, as the instance is to keep them: it applies no defaults and no converters.

    Args:
        late: Makes the first field of its source. The function takes the source, and the instance
            makes the field when it is first read.
        is_marked: Whether it marks the instance as a decoder's, with no frame.
    """
    names, lines, scope = construction(cls, late=late, is_marked=is_marked)
    make: Callable[..., _T] = compiled(
        "make", f"{', '.join([*names, '/']) if names else ''}", lines, scope
    )
    return make


def construction(
    cls: type[Any], *, late: Callable[[Any], Any] | None = None, is_marked: bool = False
) -> tuple[list[str], list[str], dict[str, Any]]:
    """
    Return the code that makes an instance of *cls*, for a function that has its fields as locals.

    That is the names of the fields but the constants, the lines, of which the last one returns
    the instance, and the globals that they need.
    """
    fields = attrs.fields_dict(cast("Any", cls))
    constants = {
        name: fields[name].default
        for name in _CONSTANTS
        # An error's type has a name of these, and is none.
        if name in fields and (name == "heard" or isinstance(fields[name].default, str))
    }
    names = [name for name in fields if name not in constants]
    twin = _twin(cls, fields)
    if twin is None:
        lines = [] if late is None else [f"{names[0]} = late({names[0]})"]
        lines.append(f"made = cls({', '.join(f'{name}={name}' for name in names)})")
        if is_marked:
            lines.append("set_mark(made, 0)")
        lines.append("return made")
        return names, lines, {"cls": cls, "late": late, "set_mark": set_mark}
    lines = [
        "made = twin()",
        *(f"made.{name} = {name}" for name in names),
        *(f"made.{name} = constant_{name}" for name in constants),
        *(["made._origin = 0"] if is_marked else ()),
        "made.__class__ = cls",
        "return made",
    ]
    if late is not None:
        lines[1] = f"made._source = {names[0]}"
    scope = {
        "twin": twin,
        "cls": cls,
        **{f"constant_{name}": value for name, value in constants.items()},
    }
    return names, lines, scope


def compiled(name: str, arguments: str, lines: list[str], scope: dict[str, Any]) -> Any:
    """Return the function of these lines."""
    # Source, as attrs and dataclasses do it: only an attribute that is spelled out is a fast one.
    exec("\n    ".join([f"def {name}({arguments}):", *lines]), scope)
    return scope[name]


def _twin(cls: type[Any], fields: Mapping[str, attrs.Attribute[Any]]) -> type[Any] | None:
    """Return a class with the layout of *cls* that is not frozen, if there can be one."""
    if (
        "__slots__" not in cls.__dict__
        or hasattr(cls, "__attrs_pre_init__")
        or hasattr(cls, "__attrs_post_init__")
        or any(vars(base).get("__init__") for base in cls.__mro__[1:-1])
        or any(field.validator for field in fields.values())
    ):
        return None
    twin = type(cls.__name__, cls.__bases__, {"__slots__": tuple(fields)})
    trial: Any = twin()
    try:
        trial.__class__ = cls
    except (TypeError, AttributeError):  # another layout, or a base that is frozen
        return None
    return twin
