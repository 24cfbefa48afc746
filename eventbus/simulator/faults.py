"""
Faults on request: their names, their times, and their effects on the frames.

A fault is written ``NAME``, ``NAME=VALUE``, ``NAME@WHEN`` or ``NAME=VALUE@WHEN``; several are
separated by commas or spaces.

====================  ==================  ======================================================
fault                 value               effect
====================  ==================  ======================================================
``drop``                                  the connection is cut, without a closing handshake
``close``             code: 1011          the connection is closed with that code
``malformed``                             a frame that is no JSON comes in between
``unknown``                               an event of an unknown type comes in between
``error``             code: server_error  an error event comes in between; the session goes on
``stall``             duration: 2s        nothing comes for so long, then all that was due
``duplicate-audio``                       every piece of audio comes twice
``late-audio``                            a piece of audio comes once more, after the response
``no-done``                               the response ends without its ``response.done``
``fail``              code: server_error  the response fails, in the middle
``incomplete``        reason:             the response ends incomplete, in the middle
                      max_output_tokens
``no-transcript``                         the transcription of the caller's audio fails
``refuse``            status: 503         the connection is refused, with that HTTP status
====================  ==================  ======================================================

``@WHEN`` is one of

* ``@2`` or ``@response:2``: in the second response, after the first piece of its audio, text or
  arguments. For ``no-transcript`` it is the second transcription, for ``refuse`` the second
  connection. Without ``@WHEN`` it is the first.
* ``@frame:5``: after the fifth frame of a connection, for ``drop``, ``close``, ``malformed``,
  ``unknown``, ``error`` and ``stall``.
* ``@every``: in each response, transcription or connection.

Rules:

1. A fault happens once, unless it is ``@every``. Responses, transcriptions and connections are
   counted over the life of a simulator: a client that connects again gets on.
2. A turn of a scenario has its own faults. They are for the response that performs the turn,
   so they have no ``@WHEN`` but ``@every``: each time, and not the first time only.
3. When something happens depends on the frames alone, never on time or chance.
4. A response without output has its faults before its ``response.done``.

This module has the names; ``fault_plan`` decides the time of each, and its effect on a frame.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias

import attrs

from ..exceptions import ScenarioError

__all__ = ["Counted", "Fault", "Value", "parse_faults"]

Value: TypeAlias = int | float | str | None
Counted: TypeAlias = Literal["response", "frame", "transcription", "connection"]


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):  # int() takes more: 1_000, and spaces
        raise ValueError
    return int(text)


def _close_code(text: str) -> int:
    code = _integer(text)
    # RFC 6455, 7.4: these may be in a close frame; 1005, 1006 and 1015 stand for there being none.
    if not (code in {1000, 1001, 1002, 1003, *range(1007, 1015)} or 3000 <= code <= 4999):
        raise ValueError
    return code


def _status(text: str) -> int:
    status = _integer(text)
    if not 400 <= status <= 599:
        raise ValueError
    return status


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)?", text)
    if found is None:
        raise ValueError
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _word(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_.-]+", text):
        raise ValueError
    return text


def _reason(text: str) -> str:
    if text not in {"max_output_tokens", "content_filter"}:
        raise ValueError
    return text


@attrs.frozen
class _Kind:
    """
    The meaning of a fault's name.

    Attributes:
        read: Makes the value of its text; None for a fault that has none.
        expected: The value in words.
        default: The value if none is given.
        counts: The unit that ``@2`` counts.
        at_frames: Whether it can come after a given frame.
    """

    read: Callable[[str], Value] | None = None
    expected: str = ""
    default: Value = None
    counts: Counted = "response"
    at_frames: bool = False


_KINDS: Final[Mapping[str, _Kind]] = {
    "drop": _Kind(at_frames=True),
    "close": _Kind(_close_code, "a WebSocket close code like 1011", 1011, at_frames=True),
    "malformed": _Kind(at_frames=True),
    "unknown": _Kind(at_frames=True),
    "error": _Kind(_word, "an error's code like server_error", "server_error", at_frames=True),
    "stall": _Kind(_seconds, "a duration like 2s or 500ms", 2.0, at_frames=True),
    "duplicate-audio": _Kind(),
    "late-audio": _Kind(),
    "no-done": _Kind(),
    "fail": _Kind(_word, "an error's code like server_error", "server_error"),
    "incomplete": _Kind(_reason, "max_output_tokens or content_filter", "max_output_tokens"),
    "no-transcript": _Kind(counts="transcription"),
    "refuse": _Kind(_status, "an HTTP status from 400 to 599", 503, counts="connection"),
}

_FAULT: Final = re.compile(r"(?P<name>[^=@]+)(?:=(?P<value>[^@]*))?(?:@(?P<when>.*))?")
_WHEN: Final = re.compile(r"every|(?:(?P<what>[a-z]+):)?(?P<number>[1-9]\d*)")


def _no_such_fault(text: str, name: str) -> str:
    close = difflib.get_close_matches(name, _KINDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_KINDS)}."
    return f"There is no fault {text!r}; {hint}"


def _read_value(text: str, kind: _Kind, value: str | None) -> Value:
    if value is None:
        return kind.default
    if kind.read is None:
        name = text.partition("=")[0]
        msg = f"The fault {text!r} has a value, and {name} takes none; write {name}."
        raise ScenarioError(msg)
    try:
        return kind.read(value)
    except ValueError:
        msg = f"{value!r} in the fault {text!r} is not {kind.expected}."
        raise ScenarioError(msg) from None


def _check_name(_fault: object, _attribute: object, name: str) -> None:
    if name not in _KINDS:
        raise ScenarioError(_no_such_fault(name, name))


def _default_value(fault: Fault) -> Value:
    kind = _KINDS.get(fault.name)  # defaults come before validators
    return kind.default if kind else None


def _check_value(fault: Fault, _attribute: object, value: Value) -> None:
    kind = _KINDS[fault.name]
    if value != kind.default and _read_value(str(fault), kind, str(value)) != value:
        msg = f"The value {value!r} of the fault {fault.name} is {kind.expected}, and no text."
        raise ScenarioError(msg)


def _check_is_frame(fault: Fault, _attribute: object, is_frame: bool) -> None:
    if is_frame and not _KINDS[fault.name].at_frames:
        msg = f"The fault {fault.name} doesn't come between frames; let it count something else."
        raise ScenarioError(msg)


@attrs.frozen
class Fault:
    """
    One fault.

    Attributes:
        name: A name of the table in this module's docstring.
        value: A code, a status, a reason, or seconds; None for a fault that has none.
        number: Of the response, transcription, connection or frame, from 1; 0 is every one.
        is_frame: Whether *number* counts the frames of a connection.
    """

    name: str = attrs.field(validator=_check_name)
    value: Value = attrs.field(
        default=attrs.Factory(_default_value, takes_self=True),
        validator=_check_value,
    )
    number: int = 1
    is_frame: bool = attrs.field(default=False, validator=_check_is_frame)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """
        Return the fault that *text* describes.

        Raises:
            ScenarioError: It describes none; the message lists them.
        """
        found = _FAULT.fullmatch(text)
        name = found["name"] if found else ""
        kind = _KINDS.get(name)
        if found is None or kind is None:
            raise ScenarioError(_no_such_fault(text, name))
        value = _read_value(text, kind, found["value"])
        number, is_frame = _read_when(text, kind, found["when"])
        return cls(name, value, number, is_frame)

    @property
    def is_between_frames(self) -> bool:
        """True if it comes between two frames, rather than changing them."""
        return _KINDS[self.name].at_frames

    @property
    def counts(self) -> Counted:
        """The unit that *number* counts."""
        return "frame" if self.is_frame else _KINDS[self.name].counts

    def __str__(self) -> str:
        """Return the text that `parse` makes this fault of."""
        text = self.name
        if isinstance(self.value, float):
            text += f"={self.value:g}s"
        elif self.value is not None:
            text += f"={self.value}"
        what = "frame:" if self.is_frame else ""
        return f"{text}@{what}{self.number}" if self.number else f"{text}@every"


def _read_when(text: str, kind: _Kind, when: str | None) -> tuple[int, bool]:
    if when is None:
        return 1, False
    found = _WHEN.fullmatch(when)
    choices: list[str] = [kind.counts]
    if kind.at_frames:
        choices.append("frame")
    if found is None or (found["what"] or choices[0]) not in choices:
        forms = ["@2", *(f"@{choice}:2" for choice in choices), "@every"]
        msg = f"{'@' + when!r} in the fault {text!r} is no time for it; write {', '.join(forms)}."
        raise ScenarioError(msg)
    return int(found["number"] or 0), found["what"] == "frame"


def parse_faults(given: str | Fault | Iterable[str | Fault]) -> tuple[Fault, ...]:
    """
    Return the faults in *given*: text with commas or spaces between them, faults, or several.

    Raises:
        ScenarioError: One of them is none.
    """
    if isinstance(given, Fault):
        return (given,)
    if isinstance(given, str):
        return tuple(Fault.parse(text) for text in re.split(r"[,\s]+", given) if text)
    return tuple(fault for each in given for fault in parse_faults(each))
