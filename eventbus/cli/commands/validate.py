"""
``eventbus validate``: a check that a journal is whole, and a list of its damages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from ...analysis._record_view import kind_name
from ...exceptions import JournalError
from ...export._rows import plain_json
from ...journal import FrameRecord, Journal, open_journal
from ...journal._derivation import StreamName
from ...journal._records import GapRecord
from ...journal._repair import repair_journal
from ..terminal.console import Bar, Output
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, ExitCode, unreadable
from ..terminal.journals import damage_text
from ..terminal.summary import short_time

__all__ = ["command"]

SCHEMA: Final = "eventbus.validate/1"


@click.pass_context
def command(ctx: click.Context, journal: Path, *, is_repair: bool, is_json: bool) -> None:
    """Run the command; see ``eventbus.cli.usage.validate``."""
    try:
        data = _validate(journal, is_repair=is_repair)
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
    except OSError as exc:
        raise unreadable(journal, exc, done="read or repaired") from exc
    output = Output()
    if is_json:
        output.json_line(plain_json(data))
    else:
        for text in _lines(data):
            output.line(text, is_cut=False)
    output.flush()
    ctx.exit(ExitCode.OK if data["is_whole"] else ExitCode.BAD_INPUT)


def _validate(path: Path, *, is_repair: bool) -> dict[str, Any]:
    source = open_journal(path, on_damage=lambda _: None)
    kinds, gaps, unknown = _read(source)
    repaired = repair_journal(path) if is_repair and source.torn_tails else []
    return {
        "schema": SCHEMA,
        "journal": str(path),
        "files": [str(each) for each in source.paths],
        "bytes": source.size_bytes,
        "records": dict(kinds),
        "duration_ms": source.duration_ns / 1e6,
        "is_closed": source.is_closed,
        "is_cut_short": source.header.is_copy and not source.is_closed,
        "unknown_decoders": unknown,
        "damages": [
            {
                "path": damage.path,
                "offset": damage.offset,
                "resume_at": damage.resume_at,
                "text": damage_text(damage),
            }
            for damage in source.damages
        ],
        "torn_tails": [
            {"path": tail.path, "offset": tail.offset, "bytes": tail.size}
            for tail in source.torn_tails
        ],
        "gaps": [
            {"first_seq": gap.first_seq, "last_seq": gap.last_seq, "reason": gap.reason}
            for gap in gaps
        ],
        "repaired": len(repaired),
        "is_whole": not source.damages
        and len(repaired) == len(source.torn_tails)
        and (source.is_closed or not source.header.is_copy),
    }


def _read(source: Journal) -> tuple[Counter[str], list[GapRecord], list[str]]:
    kinds: Counter[str] = Counter()
    streams: dict[StreamName, None] = {}
    gaps: list[GapRecord] = []
    bar = Bar(source.size_bytes, label="reading")
    with bar.shown():
        for record in source:
            bar.update(source.position_bytes)
            kinds[kind_name(record)] += 1
            if isinstance(record, GapRecord):
                gaps.append(record)
            elif isinstance(record, FrameRecord) and record.stream is not None:
                streams[record.stream] = None
    unknown = dict.fromkeys(f"{s.decoder} {s.version}" for s in streams if not s.is_known)
    return kinds, gaps, list(unknown)


def _lines(data: dict[str, Any]) -> Iterator[Text]:
    records, files = data["records"], data["files"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in records.items())
    yield Text(printable(f"{data['journal']}: {sum(records.values())} records ({kinds})"))
    many = "1 file" if len(files) == 1 else f"{len(files)} files"
    yield Text(f"{many}, {data['bytes']} bytes, {short_time(data['duration_ms'])}")
    if data["is_cut_short"]:
        yield Text("It is a copy that was cut short: the copying was interrupted.", "bold red")
    elif not data["is_closed"]:
        yield Text("It was not closed: its recorder is at work, or has died.", "yellow")
    for name in data["unknown_decoders"]:
        text = f"The decoder {name} is not known here: its frames and calls can be read, and of its"
        yield Text(printable(f"{text} events only the raw ones."), "yellow")
    for gap in data["gaps"]:
        text = f"Records {gap['first_seq']} to {gap['last_seq']} are missing: {gap['reason']}"
        yield Text(printable(text), "yellow")
    for damage in data["damages"]:
        yield Text(printable(damage["text"]), "bold red")
    for tail in data["torn_tails"]:
        done = "; cut off." if data["repaired"] else "; --repair cuts that off."
        text = (
            f"{tail['path']} ends in a record that is cut short, at offset {tail['offset']}{done}"
        )
        yield Text(printable(text), "green" if data["repaired"] else "bold red")
    if data["is_whole"] and not data["repaired"]:
        yield Text("It is whole.", "green")
