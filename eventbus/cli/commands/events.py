"""
``eventbus events``: the vocabulary, with the descriptions in its docstrings.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import click
from rich.text import Text

from ...events import EVENT_TYPES
from ...realtime import events as _session_events  # noqa: F401  # registers those of sessions
from ..terminal.console import Output

SCHEMA: Final = "eventbus.class/1"


@attrs.frozen
class _Entry:
    """One class of the vocabulary."""

    type: str
    cls: str
    fields: tuple[str, ...]
    about: str
    source: str


def _entry(type_name: str, cls: type[Any]) -> _Entry:
    about, source = _docstring(cls)
    fields = tuple(field.name for field in attrs.fields(cls) if field.name != "type")
    return _Entry(type_name, cls.__qualname__, fields, about, source)


def _docstring(cls: type[Any]) -> tuple[str, str]:
    """Return the first paragraph of the docstring, and its section Source, each as one line."""
    text = (inspect.getdoc(cls) or "").replace("``", "")
    source = re.search(r"^Source:\n((?: +.*\n?)+)", text, re.MULTILINE)
    about = text.partition("\n\n")[0]
    return " ".join(about.split()), " ".join(source[1].split()).rstrip(".") if source else ""


def _paragraph(entry: _Entry) -> Iterator[Text]:
    yield Text.assemble((entry.type, "bold cyan"), "  ", (entry.cls, "dim"))
    yield Text(f"    {entry.about}")
    if entry.fields:
        yield Text.assemble("    fields  ", (", ".join(entry.fields), "green"))
    yield Text.assemble("    source  ", (entry.source, "dim"))


def command(*, names: tuple[str, ...], is_json: bool) -> None:
    """Run the command; see ``eventbus.cli.usage.events``."""
    output = Output()
    for entry in _picked([_entry(name, cls) for name, cls in EVENT_TYPES.items()], names):
        if is_json:
            row = {
                "schema": SCHEMA,
                "type": entry.type,
                "class": entry.cls,
                "fields": entry.fields,
                "about": entry.about,
                "source": entry.source,
            }
            output.json_line(json.dumps(row, ensure_ascii=False))
        elif output.is_terminal:
            for text in _paragraph(entry):
                output.line(text, is_cut=False)
        else:
            fields = ", ".join(entry.fields)
            output.line(f"{entry.type}\t{entry.cls}\t{fields}\t{entry.source}")


def _picked(entries: list[_Entry], names: tuple[str, ...]) -> list[_Entry]:
    """Return the entries of those names; all of them if there are none."""
    known = {name: entry for entry in entries for name in (entry.type, entry.cls)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "eventbus events lists them."
            msg = f"There is no event {name!r}; {hint}"
            raise click.UsageError(msg)
    return [known[name] for name in names] if names else entries
