"""
Reads the fields of a frame, and says which one is wrong.

An event takes what it needs and leaves the rest alone: only a field that is
asked for can be wrong.
"""

from __future__ import annotations

from typing import Any

from ..exceptions import FrameError
from ._frames import Frame, shown_type

__all__ = ["Fields", "Message"]

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


class Fields:
    """
    The fields of one object in a frame.

    Attributes:
        data: The object, as plain data.
        frame_type: The ``type`` of the frame, as it came.
    """

    __slots__ = ("_path", "data", "frame_type")

    def __init__(self, data: dict[str, Any], frame_type: object, path: str = "") -> None:
        self.data = data
        self.frame_type = frame_type
        self._path = path

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.data.get(name, _MISSING)
        if type(value) is not str:
            raise self.wrong(name, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None if the field is missing or null."""
        return None if self.data.get(name) is None else self.text(name)

    def text_if_any(self, name: str) -> str | None:
        """Return a string, or None if there is anything else."""
        value = self.data.get(name)
        return value if type(value) is str else None

    def integer(self, name: str) -> int:
        """Return a whole number; 1.0 is one too, as JSON has one kind of number."""
        value = self.data.get(name, _MISSING)
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        raise self.wrong(name, "a whole number")

    def optional_integer(self, name: str) -> int | None:
        """Return a whole number, or None if the field is missing or null."""
        return None if self.data.get(name) is None else self.integer(name)

    def integer_if_any(self, name: str) -> int | None:
        """Return a whole number, or None if there is anything else."""
        try:
            return self.integer(name)
        except FrameError:
            return None

    def index(self, name: str) -> int:
        """Return an index; one that is missing or null is 0, as some services leave that out."""
        return self.optional_integer(name) or 0

    def child(self, name: str) -> Fields:
        """Return the fields of an object."""
        value = self.data.get(name, _MISSING)
        if type(value) is not dict:
            raise self.wrong(name, "an object")
        return Fields(value, self.frame_type, f"{self._path}{name}.")

    def child_if_any(self, name: str) -> Fields:
        """Return the fields of an object, or no fields if there is anything else."""
        value = self.data.get(name)
        return Fields(value if type(value) is dict else {}, self.frame_type, f"{self._path}{name}.")

    def items(self, name: str) -> list[Any]:
        """Return a list; one that is missing or null is empty."""
        value = self.data.get(name)
        if value is None:
            return []
        if type(value) is not list:
            raise self.wrong(name, "an array")
        return value

    def wrong(self, name: str, expected: str) -> FrameError:
        """Return the error that says that a field isn't what was *expected*."""
        field = f"{self._path}{name}"
        value = self.data.get(name, _MISSING)
        kind = _KINDS.get(type(value), "missing")
        frame_type = shown_type(self.frame_type)
        frame_name = "a frame of unknown type" if frame_type is None else f"the frame {frame_type}"
        fault = f"must be {expected}, but is {kind}"
        if kind == expected.partition(" of ")[0]:
            fault = f"is not {expected}"
        problem = f"The field {field} of {frame_name} {fault}"
        return FrameError(problem, frame_type=frame_type, field=field)


class Message(Fields):
    """
    A frame that is being decoded.

    Attributes:
        frame: The same as a read-only mapping, for events that carry parts of it.
    """

    __slots__ = ("frame",)

    def __init__(self, data: dict[str, Any], frame: Frame) -> None:
        super().__init__(data, data.get("type"))
        self.frame = frame
