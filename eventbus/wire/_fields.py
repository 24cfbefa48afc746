"""
Reads the fields of a frame, and says which one is wrong.

An event takes the fields that it needs and leaves the rest alone: only a field that is asked for
can be wrong. The functions read fields of the frame itself; `Fields` reads those of an object in
it, and knows where it is.
"""

from __future__ import annotations

from typing import Any

from ..exceptions import FrameError
from ._names import shown_type

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_MISSING = object()


def text(data: dict[str, Any], name: str) -> str:
    """Return a string."""
    value = data.get(name, _MISSING)
    if type(value) is not str:
        raise wrong(data, name, "a string")
    return value


def optional_text(data: dict[str, Any], name: str) -> str | None:
    """Return a string, or None if the field is missing or null."""
    return None if data.get(name) is None else text(data, name)


def text_if_any(data: dict[str, Any], name: str) -> str | None:
    """Return a string, or None if there is anything else."""
    value = data.get(name)
    return value if type(value) is str else None


def integer(data: dict[str, Any], name: str) -> int:
    """Return a whole number; 1.0 is one too, as JSON has one kind of number."""
    value = data.get(name, _MISSING)
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise wrong(data, name, "a whole number")


def optional_integer(data: dict[str, Any], name: str) -> int | None:
    """Return a whole number, or None if the field is missing or null."""
    return None if data.get(name) is None else integer(data, name)


def integer_if_any(data: dict[str, Any], name: str) -> int | None:
    """Return a whole number, or None if there is anything else."""
    value = data.get(name)
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def index(data: dict[str, Any], name: str) -> int:
    """Return an index; one that is missing or null is 0, as some services leave that out."""
    return 0 if data.get(name) is None else integer(data, name)


def child(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object."""
    value = data.get(name, _MISSING)
    if type(value) is not dict:
        raise wrong(data, name, "an object")
    return value


def child_if_any(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object, or an empty one if there is anything else."""
    value = data.get(name)
    return value if type(value) is dict else {}


def wrong(data: dict[str, Any], name: str, expected: str) -> FrameError:
    """Return the error that says that a field of the frame isn't as *expected*."""
    return _wrong(data, name, expected, frame_type=data.get("type"), path="")


class Fields:
    """
    The fields of an object in a frame.

    Args:
        data: The object.
        frame_type: The ``type`` of the frame, as it came.
        name: The field of the frame that has the object; empty for the frame itself.
    """

    __slots__ = ("_frame_type", "_path", "data")

    def __init__(self, data: dict[str, Any], frame_type: object, name: str) -> None:
        self.data = data
        self._frame_type = frame_type
        self._path = f"{name}." if name else ""

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.data.get(name, _MISSING)
        if type(value) is not str:
            raise self.wrong(name, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None if the field is missing or null."""
        return None if self.data.get(name) is None else self.text(name)

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None if the field is missing or null."""
        value = self.data.get(name)
        if value is None or type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        raise self.wrong(name, "a whole number")

    def items(self, name: str) -> list[Any]:
        """Return a list; one that is missing or null is empty."""
        value = self.data.get(name)
        if value is None:
            return []
        if type(value) is not list:
            raise self.wrong(name, "an array")
        return value

    def wrong(self, name: str, expected: str) -> FrameError:
        """Return the error that says that a field isn't as *expected*."""
        return _wrong(self.data, name, expected, frame_type=self._frame_type, path=self._path)


def _wrong(
    data: dict[str, Any], name: str, expected: str, *, frame_type: object, path: str
) -> FrameError:
    field = f"{path}{name}"
    kind = _KINDS.get(type(data.get(name, _MISSING)), "missing")
    shown = shown_type(frame_type)
    frame_name = "a frame of unknown type" if shown is None else f"the frame {shown}"
    fault = f"must be {expected}, but is {kind}"
    if kind == expected.partition(" of ")[0]:
        fault = f"is not {expected}"
    problem = f"The field {field} of {frame_name} {fault}"
    return FrameError(problem, frame_type=shown, field=field)
