"""
Comparison: where the events of two services differ, but for the words and the timing.

* The order: the types of the events as they follow each other; of equal ones in a row one counts,
  and words and audio are one, as they are mixed by chance. Transcripts of the user and rate limits
  may come at any time, and are left out.
* The fields: of each type of event the paths that one of them has and the other lacks. Nothing
  is told of the inside of a value that is null or empty at one of them.
* The kinds of values: a text at one and a number at the other.
* The code, the type and the parameter of errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from .probes import Frames

KNOWN: Final[Mapping[str, str]] = {
    "obfuscation": "a random text in each delta, which hides its length from the network",
}
"""Fields that the simulator leaves out on purpose, with the reason."""

_AT_ANY_TIME: Final = ("rate_limits.updated", "conversation.item.input_audio_transcription.")
_OF_ERRORS: Final = ("type", "code", "param")
_KINDS: Final = {bool: "a boolean", str: "a text", int: "a number", float: "a number"}
_SHOWN_TYPES: Final = 3


@attrs.frozen
class Difference:
    """
    One point at which the service answers otherwise than the simulator.

    Attributes:
        probe: The name of the probe.
        text: The point, in words.
    """

    probe: str
    text: str


def compare(probe: str, theirs: Frames, ours: Frames) -> list[Difference]:
    """Return the differences between the events of the service and of the simulator."""
    texts = [*_order(theirs, ours), *_fields(theirs, ours), *_errors(theirs, ours)]
    return [Difference(probe, text) for text in texts]


def _order(theirs: Frames, ours: Frames) -> Iterator[str]:
    one, other = _story(theirs), _story(ours)
    if one == other:
        return
    same = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    after = one[same - 1] if same else "the connection"
    yield f"after {after} the service sends {_next(one, same)}, the simulator {_next(other, same)}"


def _next(story: list[str], index: int) -> str:
    return ", ".join(story[index : index + _SHOWN_TYPES]) or "nothing"


def _story(frames: Frames) -> list[str]:
    found: list[str] = []
    for frame in frames:
        type_ = frame["type"].replace("_transcript.delta", ".delta")
        if not type_.startswith(_AT_ANY_TIME) and type_ not in found[-1:]:
            found.append(type_)
    return found


def _fields(theirs: Frames, ours: Frames) -> Iterator[str]:
    one, other = _kinds_by_type(theirs), _kinds_by_type(ours)
    for type_ in sorted(one.keys() | other.keys()):
        if type_ not in other:
            if type_.startswith(_AT_ANY_TIME):
                yield f"the service sends {type_}, the simulator doesn't"
        elif type_ not in one:
            if type_.startswith(_AT_ANY_TIME):
                yield f"the simulator sends {type_}, the service doesn't"
        else:
            yield from _fields_of(type_, one[type_], other[type_])


def _fields_of(
    type_: str, one: Mapping[str, set[str]], other: Mapping[str, set[str]]
) -> Iterator[str]:
    for path in sorted(one.keys() | other.keys()):
        name = path.removeprefix(".")
        if name.rpartition(".")[2] in KNOWN:
            continue
        if path not in other and _is_filled(other, path):
            yield f"{type_}: the service has {name}, the simulator doesn't"
        elif path not in one and _is_filled(one, path):
            yield f"{type_}: the simulator has {name}, the service doesn't"
        elif path in one and path in other:
            kinds, expected = one[path] - {"null"}, other[path] - {"null"}
            if kinds and expected and not kinds & expected:
                what = f"{' or '.join(sorted(kinds))} for the service"
                yield f"{type_}: {name} is {what}, {' or '.join(sorted(expected))} here"


def _is_filled(kinds: Mapping[str, set[str]], path: str) -> bool:
    """Return whether there is something beside *path*, so that it is missing."""
    around = path.rpartition(".")[0] if not path.endswith("[]") else path.removesuffix("[]")
    return any(other.startswith((f"{around}.", f"{around}[")) for other in kinds)


def _kinds_by_type(frames: Frames) -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {}
    for frame in frames:
        kinds = found.setdefault(frame["type"], {})
        for path, kind in _walk(frame, ""):
            kinds.setdefault(path, set()).add(kind)
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if path.endswith(".parameters"):
        return  # of a tool, as the client gave it
    if isinstance(value, Mapping):
        yield path, "an object"
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}")
    elif isinstance(value, list):
        yield path, "a list"
        for inner in value:
            yield from _walk(inner, f"{path}[]")
    else:
        yield path, "null" if value is None else _KINDS[type(value)]


def _errors(theirs: Frames, ours: Frames) -> Iterator[str]:
    for one, other in zip(_errors_of(theirs), _errors_of(ours), strict=False):
        for name in _OF_ERRORS:
            if one.get(name) != other.get(name):
                yield (
                    f"the error's {name} is {one.get(name)!r} for the service, "
                    f"{other.get(name)!r} here"
                )


def _errors_of(frames: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [frame["error"] for frame in frames if frame["type"] == "error"]
