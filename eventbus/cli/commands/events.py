"""
``eventbus events``: the vocabulary, as its own docstrings describe it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import click
from rich.text import Text

from ...events import EVENT_TYPES
from ..terminal.console import Output

__all__ = ["command"]

SCHEMA: Final = "eventbus.class/1"


@attrs.frozen
class _Entry:
    """One class of the vocabulary, as it is listed."""

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


@click.command("events", short_help="List the classes of events.")
@click.option("--json", "is_json", is_flag=True, help="Write JSON, one object a line.")
def command(*, is_json: bool) -> None:
    """
    List the events: type name, class, fields, and what they come from.

    On a terminal each takes a few lines, anywhere else one, with tabs between the columns.
    """
    output = Output()
    entries = [_entry(name, cls) for name, cls in EVENT_TYPES.items()]
    for entry in entries:
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
    output.flush()
