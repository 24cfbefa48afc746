"""
``eventbus stats``: the figures of a journal, plots of them, and limits for CI.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.text import Text

from ...analysis._figures import (
    FIGURES,
    CallFigures,
    Distribution,
    Figures,
    HandlerFigures,
    Limit,
    Totals,
    parse_limit,
)
from ...analysis._stats import measure
from ...export._rows import plain_json
from ..terminal.console import Output
from ..terminal.escaping import printable
from ..terminal.exits import ExitCode, unwritable
from ..terminal.journals import (
    JournalInput,
    read_filter,
)
from ..terminal.junit import Verdict, judge, junit_xml
from ..terminal.outputs import refuse_source
from ..terminal.plots import latency_bars, timeline
from ..terminal.summary import short_time

SCHEMA: Final = "eventbus.stats/1"

_WIDTH: Final = 100  # without a terminal
_MIN_NAME: Final = 22
_MAX_NAME: Final = 32
_NUMBERS: Final = 52  # the columns behind a name
_MAX_CALLS: Final = 10


def _read_limits(texts: tuple[str, ...]) -> list[Limit]:
    try:
        return [parse_limit(text) for text in texts]
    except ValueError as exc:
        raise click.BadParameter(printable(str(exc)), param_hint="'--fail-over'") from exc


@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    terms: tuple[str, ...],
    *,
    limits: tuple[str, ...],
    allow_estimated: bool,
    junit_path: Path | None,
    played_by: str | None,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.stats``."""
    wanted = _read_limits(limits)
    where = read_filter(terms)
    source = JournalInput(journal)
    figures = measure(
        source.records(where), played_by=played_by, origin_ns=source.journal.header.mono_ns
    )
    verdicts = judge(figures.totals, wanted, allow_estimated=allow_estimated)
    if junit_path is not None:
        refuse_source(junit_path, source.journal.paths, "'--junit'")
        wall_ns = source.journal.header.wall_ns
        _write_junit(junit_path, junit_xml(source.name, verdicts, wall_ns))
    output = Output()
    if is_json:
        output.json_line(plain_json(stats_data(source.name, figures, verdicts)))
    else:
        for text in _report(figures, verdicts, output):
            output.line(text)
    output.flush()
    is_over = not all(verdict.is_kept for verdict in verdicts)
    ctx.exit(source.exit_code or (ExitCode.NO if is_over else ExitCode.OK))


def _write_junit(path: Path, document: bytes) -> None:
    try:
        path.write_bytes(document)
    except OSError as exc:
        raise unwritable(path, exc) from exc


# --- as data ----------------------------------------------------------------------------------


def stats_data(name: str, figures: Figures, verdicts: list[Verdict]) -> dict[str, Any]:
    """Return the figures as data, as ``--json`` writes them."""
    return {
        "schema": SCHEMA,
        "journal": name,
        **_totals_data(figures.totals),
        "calls": [_call_data(call) for call in figures.calls],
        "handlers": [attrs.asdict(handler) for handler in figures.handlers],
        "limits": [
            {
                "limit": verdict.limit.text,
                "value": verdict.value,
                "estimated": verdict.estimated,
                "is_kept": verdict.is_kept,
            }
            for verdict in verdicts
        ],
    }


def _totals_data(totals: Totals) -> dict[str, Any]:
    return {
        "figures": {name: attrs.asdict(found) for name, found in totals.figures.items()},
        "counts": dict(totals.counts),
    }


def _call_data(call: CallFigures) -> dict[str, Any]:
    return {
        "sender": call.sender,
        "start_ms": call.start_ms,
        "duration_ms": call.duration_ms,
        **_totals_data(call.totals),
        "turns": [attrs.asdict(turn) for turn in call.turns],
        "interruptions": [attrs.asdict(each) for each in call.interruptions],
        "tool_calls": [attrs.asdict(tool) for tool in call.tool_calls],
        "timeline": [attrs.asdict(span) for span in call.spans],
    }


# --- for people -------------------------------------------------------------------------------


def _report(figures: Figures, verdicts: list[Verdict], output: Output) -> Iterator[Text]:
    width = output.width or _WIDTH
    room = max(_MIN_NAME, min(_MAX_NAME, width - _NUMBERS))
    has_colours = output.console.color_system is not None and output.is_terminal
    yield from _figures_table(figures.totals, room)
    yield Text()
    yield from _counts(figures.totals)
    if figures.handlers:
        yield Text()
        yield from _handlers_table(figures.handlers, room)
    drawn = [call for call in figures.calls if call.turns or call.spans]
    for call in drawn[:_MAX_CALLS]:
        yield Text()
        name = "" if call.sender is None else f"call {printable(call.sender)}, "
        yield Text(f"{name}{short_time(call.duration_ms)}", "bold")
        yield from latency_bars(call, width, has_colours=has_colours)
        yield from timeline(call, width)
    if len(drawn) > _MAX_CALLS:
        yield Text(f"and {len(drawn) - _MAX_CALLS} more calls; sender:NAME picks one", "dim")
    if verdicts:
        yield Text()
        for verdict in verdicts:
            yield Text.assemble(_sign(verdict), verdict.text)


def _sign(verdict: Verdict) -> tuple[str, str]:
    if verdict.is_kept:
        return "ok    ", "green"
    # A figure that was only estimated is not over its limit, and fails all the same.
    return ("guess ", "bold red") if verdict.is_within else ("over  ", "bold red")


def _figures_table(totals: Totals, room: int) -> Iterator[Text]:
    yield Text(f"{'figure':<{room}}{'count':>7}{'p50':>10}{'p95':>10}{'max':>10}", "bold")
    for name in FIGURES:
        found = totals.figures.get(name)
        if found is None:
            continue
        indent = "  " if name in _PARTS else ""
        label = f"{indent}{name.replace('_', ' ')}"
        estimated = f"  {found.estimated} estimated" if found.estimated else ""
        yield Text(f"{label:<{room}}{_row(found)}{estimated}")
    if not totals.figures:
        yield Text("(nothing was measured: there are no turns and no handler calls)", "dim")


_BAD: Final = ("crashes", "unfinished", "drops", "failures", "tool_failures", "gaps")
_PARTS: Final = ("endpointing", "model", "tool", "first_audio", "dispatch")


def _row(found: Distribution) -> str:
    times = "".join(f"{short_time(ms):>10}" for ms in (found.p50, found.p95, found.max))
    return f"{found.count:>7}{times}"


def _counts(totals: Totals) -> Iterator[Text]:
    counts = totals.counts
    yield Text(f"turns: {counts['turns']}, interruptions: {counts['interruptions']}")
    bad = [name for name in _BAD if counts[name]]
    if bad:
        told = (f"{name.replace('_', ' ')}: {counts[name]}" for name in bad)
        yield Text(", ".join(told), "bold red")
    else:
        yield Text("crashes, drops, failures, gaps: none")
    tokens = [f"{name} {counts[f'tokens.{name}']}" for name in ("input", "output", "cached")]
    seconds = counts["audio_seconds"]
    billed = f"; audio billed by time: {seconds} s" if seconds else ""
    yield Text(f"tokens: {', '.join(tokens)}{billed}")


def _handlers_table(handlers: tuple[HandlerFigures, ...], room: int) -> Iterator[Text]:
    heading = f"{'handler':<{room}}{'count':>7}{'run p50':>10}{'p95':>10}{'max':>10}"
    yield Text(f"{heading}{'queued p95':>12}", "bold")
    for handler in handlers:
        name = printable(handler.handler)
        name = f"…{name[2 - room :]}" if len(name) > room - 1 else name
        run = "" if handler.run is None else _row(handler.run)[7:]
        queued = "" if handler.queued is None else short_time(handler.queued.p95)
        wrong = [
            f"{count} {what}"
            for count, what in (
                (handler.crashes, "crashed"),
                (handler.unfinished, "unfinished"),
                (handler.drops, "dropped"),
            )
            if count
        ]
        yield Text.assemble(
            f"{name:<{room}}{handler.count:>7}{run:>30}{queued:>12}",
            (f"  {', '.join(wrong)}" if wrong else "", "bold red"),
        )
