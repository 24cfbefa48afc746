"""
The summary of a run, as lines for people or as data, and messages about crashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import click
from rich.text import Text

from ...telemetry._summary import CrashSummary, Summary
from .console import Output
from .escaping import printable

__all__ = ["report_crash", "short_time", "summary_json", "summary_lines", "write_summary"]

SCHEMA: Final = "eventbus.summary/1"

_MIN_WIDTH: Final = 24
_EVENT_NUMBERS: Final = " {:>6} {:>8} {:>10}"
_CALL_NUMBERS: Final = " {:>6} {:>8} {:>8} {:>8}"


def write_summary(output: Output, summary: Summary, *, is_json: bool) -> None:
    """Write *summary* to *output*, as JSON or as lines."""
    if is_json:
        output.json_line(summary_json(summary))
    else:
        for text in summary_lines(summary, output.width):
            output.line(text)
    output.flush()


def report_crash(crash: CrashSummary, error: BaseException) -> None:
    """
    Say on stderr that a handler has crashed, if it is the first time in that way.

    The summary has how many there were. A broken pipe is most likely stdout: nobody listens.
    """
    if crash.count > 1 or isinstance(error, BrokenPipeError):
        return
    where = f" ({crash.where})" if crash.where else ""
    text = f"crash: {crash.handler} on {crash.event}: {crash.error}{where}"
    click.echo(printable(text), err=True)


def summary_json(summary: Summary) -> str:
    """
    Return ``{"schema": …, "summary": …}``, in one line.

    The summary has the fields of `Summary`, ``handled``, ``unhandled`` and ``repeating``.
    """
    data = {
        **attrs.asdict(summary),
        "events": [
            {
                "event": e.event,
                "count": e.count,
                "handled": e.handled,
                "unhandled": e.unhandled,
                "repeating": e.repeating,
            }
            for e in summary.events
        ],
        "handled": summary.handled,
        "unhandled": summary.unhandled,
        "repeating": summary.repeating,
    }
    return json.dumps({"schema": SCHEMA, "summary": data}, ensure_ascii=False)


def summary_lines(summary: Summary, max_width: int | None = None) -> Iterator[Text]:
    """
    Yield the lines of the summary; the first one is blank.

    Args:
        summary: The counts and failures to show.
        max_width: Cut long names, at their beginning, so that tables are no wider than this.
    """
    yield Text()
    yield from _table(
        ("events", "count", "handled", "unhandled"),
        [
            (e.event, e.handled + e.unhandled, e.handled, e.unhandled)
            for e in summary.events
            if not e.is_raw and e.handled + e.unhandled
        ]
        + [("all", summary.handled + summary.unhandled, summary.handled, summary.unhandled)],
        _EVENT_NUMBERS,
        max_width,
    )
    for raw in summary.events:
        if raw.is_raw:
            taken = f", {raw.handled} of them handled" if raw.handled else ""
            yield Text(f"  and {raw.count} raw events (frames){taken}")
    if summary.repeating:
        yield Text(f"  and {summary.repeating} that repeat what others say, and need no handler")
    if summary.published > summary.count:
        kept = summary.published - summary.count
        yield Text(f"  and {kept} that middleware kept back")
    yield Text()
    if summary.calls:
        yield from _table(
            ("handler calls", "count", "p50", "p95", "max"),
            [
                (
                    c.handler,
                    c.count,
                    short_time(c.p50_ms),
                    short_time(c.p95_ms),
                    short_time(c.max_ms),
                )
                for c in summary.calls
            ],
            _CALL_NUMBERS,
            max_width,
        )
        yield Text()
    yield from _crashes(summary)
    yield from _losses(summary)
    if summary.bad_lines:
        yield Text(f"bad lines: {summary.bad_lines}", "bold red")
    if summary.was_interrupted:
        yield Text("interrupted: this is what had happened by then", "yellow")


def _table(
    heading: Sequence[str], rows: Sequence[Sequence[object]], numbers: str, max_width: int | None
) -> Iterator[Text]:
    """Yield a heading and rows: a name, and numbers that are formatted with *numbers*."""
    width = max(_MIN_WIDTH, *(len(str(name)) for name, *_ in rows))
    if max_width is not None:
        room = max_width - len(numbers.format(*heading[1:]))
        width = max(_MIN_WIDTH, min(width, room))
    for row in (heading, *rows):
        name = printable(str(row[0]))
        if len(name) > width:
            name = f"…{name[1 - width :]}"
        # What nobody took is dim.
        style = "bold" if row is heading else "dim" if row[2] == 0 else ""
        yield Text(f"{name:<{width}}{numbers.format(*row[1:])}", style)


def _crashes(summary: Summary) -> Iterator[Text]:
    if not summary.crashed:
        yield Text("crashes: none")
        return
    yield Text(f"crashes: {summary.crashed}", "bold red")
    for crash in summary.crashes:
        times = "once" if crash.count == 1 else f"{crash.count} times"
        yield Text(f"  {printable(crash.handler)} on {crash.event}, {times}")
        where = f"  ({crash.where})" if crash.where else ""
        yield Text(f"    {printable(crash.error)}{where}", "red")
    hidden = summary.crashed - sum(crash.count for crash in summary.crashes)
    if hidden > 0:
        yield Text(f"  and {hidden} that middleware kept back")


def _losses(summary: Summary) -> Iterator[Text]:
    if summary.dropped:
        by = f", in the mailboxes of {', '.join(summary.dropped_by)}" if summary.dropped_by else ""
        yield Text(f"drops: {summary.dropped}{by}", "bold red")
    else:
        yield Text("drops: none")
    if summary.purged:
        yield Text(f"purged: {summary.purged} that a later event made obsolete while they waited")


def short_time(ms: float) -> str:
    """Return a time with three digits or so, in the unit that fits."""
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    if ms >= 100:
        return f"{ms:.0f} ms"
    return f"{ms:.2f} ms" if ms >= 1 else f"{ms * 1000:.0f} µs"
