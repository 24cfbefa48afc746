"""
Placeholders in a model's words: ``{user}``, ``{output.temperature}``.

A placeholder is a name in braces, with the way to a part of its value behind dots. ``{{`` and
``}}`` stand for a brace itself where it would be taken for a placeholder's.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ...exceptions import ScenarioError
from .config_reader import within

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*(?:\.\w+)*)\}")


def check(value: object, known: Collection[str]) -> None:
    """
    Check the placeholders in *value*: a text, or a mapping or list of texts.

    Raises:
        ScenarioError: One of them isn't *known*.
    """
    if isinstance(value, str):
        for path in _paths(value):
            name = path.partition(".")[0]
            if name not in known:
                raise ScenarioError(_unknown(name, known))
    elif isinstance(value, (Mapping, list, tuple)):
        for key, inner in _entries(value):
            with within(key):
                check(inner, known)


def fill(text: str, values: Mapping[str, object]) -> str:
    """Return *text* with *values* in place of its placeholders."""

    def replace(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        value = _look_up(found[1], values)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _PLACEHOLDER.sub(replace, text)


def fill_all(value: object, values: Mapping[str, object]) -> Any:
    """
    Return *value*, plain data, with all its texts filled in.

    A text that is one placeholder becomes the value itself: a number stays a number.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None and whole[1] is not None:
            return _look_up(whole[1], values)
        return fill(value, values)
    if isinstance(value, Mapping):
        return {key: fill_all(inner, values) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_all(inner, values) for inner in value]
    return value


def _paths(text: str) -> Iterator[str]:
    return (found[1] for found in _PLACEHOLDER.finditer(text) if found[1] is not None)


def _entries(value: Mapping[Any, object] | Sequence[object]) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        return ((str(key), inner) for key, inner in value.items())
    return iter(enumerate(value))


def _look_up(path: str, values: Mapping[str, object]) -> object:
    """Return the value; one that a tool's output doesn't have is named, so that it can be seen."""
    found: object = values
    for step in path.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return f"(no {path})"
    return found


def _unknown(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    there_are = ", ".join(f"{{{each}}}" for each in known)
    hint = f"did you mean {{{close[0]}}}?" if close else f"there are {there_are}."
    return f"There is no placeholder {{{name}}}; {hint} A brace itself is written {{{{."
