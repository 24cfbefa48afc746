"""
The speed of eventbus: one table of ratios, measured side by side in one run.

Run it from the checkout, with everything installed that it compares with::

    pip install -e '.[bench]'
    python tests/benchmarks
    python tests/benchmarks publish
    python tests/benchmarks decoding
    python tests/benchmarks live
    python tests/benchmarks journal
    python tests/benchmarks bridges
    python tests/benchmarks write --newest ../newest/bin/python

Each takes two to three minutes: the bus and the decoder by themselves, each of them alone, 200 live
sessions over sockets, journals, and bridges beside bare nats-py (which needs the extra ``test``).
The last one takes twelve minutes: it measures the first, with another Python too, and live sessions
and journals, each for a shorter time, and writes the tables and the plot of the documentation.
At the end of each table are the targets that were missed.
The modules beside this one tell how things are compared; ``docs/explanation/performance.md`` has
the tables of one run, and the conclusions from them.
"""

# ruff: noqa: T201 (printing is what a command does)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import attrs
import live.report
import live.rounds
import plot
from frames import sessions
from measuring import LONG, QUICK, Effort
from table import Kind, Line, bridge_lines, decoding_lines, journal_lines, lines, publishing_lines

_COMPARED_WITH = (
    "blinker",
    "pyee",
    "psygnal",
    "eventkit",
    "msgspec",
    "pybase64",
    "openai",
    "openai-agents",
    "pydantic",
    "websockets",
    "pipecat-ai",
    "pydantic-ai-slim",
    "google-genai",
)


def machine() -> dict[str, object]:
    """Return the machine, its Python, and the versions of the compared packages."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: found for name in _COMPARED_WITH if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # the last ones need not be there
        return None


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    nanoseconds = seconds * 1e9
    return f"{nanoseconds:.0f} ns" if nanoseconds < 9_999.5 else f"{nanoseconds / 1e3:.0f} us"


def _value(line: Line) -> str:
    if line.kind is Kind.MEMORY:
        return f"{line.value:.0f} bytes"
    return f"{line.value:.2f}{line.kind.value}"


def _target(line: Line) -> str:
    if line.target is None:
        return ""
    bound = "at least" if line.kind is Kind.PEER else "at most"
    return f"{bound} {line.target:g}{'' if line.is_met else '  MISSED'}"


def _row(line: Line) -> str:
    spread = "" if line.low is None else f"({line.low:.2f} to {line.high:.2f})"
    return (
        f"  {line.against:<30}{_time(line.ours_s):>8}{_time(line.other_s):>9}"
        f"{_value(line):>17}  {spread:<18}{_target(line)}"
    ).rstrip()


def _as_dict(line: Line) -> dict[str, object]:
    return {**attrs.asdict(line), "kind": line.kind.name.lower(), "is_met": line.is_met}


async def _table(table: AsyncIterator[Line], *, as_json: bool) -> list[dict[str, object]]:
    """Print the lines of a table, if they aren't for JSON; return them."""
    measured: list[Line] = []
    if not as_json:
        print(f"\n{'':<32}{'eventbus':>8}{'other':>9}{'ratio':>17}  {'middle half':<18}target")
    async for line in table:
        if as_json:
            print(line.work, line.against, sep=": ", file=sys.stderr)
        else:
            if not measured or measured[-1].work != line.work:
                print(f"\n{line.work}")
            print(_row(line), flush=True)
        measured.append(line)
    return [_as_dict(line) for line in measured]


async def _live(plan: live.rounds.Plan, *, as_json: bool) -> list[dict[str, object]]:
    """Print the sections about live sessions, if they aren't for JSON; return them."""
    measured = []
    async for section in live.report.sections(plan):
        if as_json:
            print(section.name, file=sys.stderr)
        else:
            print(*live.report.as_text(section), sep="\n", flush=True)
        measured.append(attrs.asdict(section))
    return measured


def _missed(measured: list[dict[str, object]]) -> list[str]:
    """Return the last lines of a table: how many targets there are, and those that were missed."""
    with_target = [line for line in measured if line.get("target") is not None]
    missed = [line for line in with_target if not line["is_met"]]
    if not with_target:
        return []
    names = (f"  {line['work']}: {line['against']}, {line['value']:.2f}" for line in missed)
    return ["", f"{len(with_target)} targets, {len(missed)} of them missed", *names]


@attrs.frozen
class _Efforts:
    """The time that everything may take."""

    bus: Effort = attrs.field(factory=Effort)
    journal: Effort = LONG
    live: live.rounds.Plan = live.rounds.FULL
    events: int = 1_000


_FULL: Final = _Efforts()
_SHORT: Final = _Efforts(
    bus=Effort(rounds=201), journal=attrs.evolve(LONG, rounds=3, tries=1), live=live.rounds.SHORT
)
_QUICK: Final = _Efforts(bus=QUICK, journal=QUICK, live=live.rounds.QUICK, events=20)


async def _run(what: str, efforts: _Efforts, *, as_json: bool) -> dict[str, Any]:
    facts = machine()
    if efforts is _QUICK:
        print("Everything was run once: the figures mean nothing.", file=sys.stderr)
    if not as_json:
        print(f"{facts['python']}, {facts['system']}, {facts['cores']} cores")
        print(*(f"{name} {number}" for name, number in facts["versions"].items()), sep=", ")
    report: dict[str, Any] = dict(facts)
    tables = {
        "bus": ("lines", lambda: lines(efforts.bus)),
        "publish": ("lines", lambda: publishing_lines(efforts.bus)),
        "decoding": ("lines", lambda: decoding_lines(efforts.bus)),
        "journal": ("journal", lambda: journal_lines(efforts.journal)),
        "bridges": ("bridges", lambda: bridge_lines(efforts.journal, efforts.events)),
    }
    # Not of "all" are parts of the first, and bridges: they need the extra nats, and a server.
    for name in ("bus", "journal") if what == "all" else (what,):
        if name in tables:
            key, table = tables[name]
            report[key] = await _table(table(), as_json=as_json)
            if not as_json:
                print(*_missed(report[key]), sep="\n")
    if what in ("live", "all"):
        report["live"] = await _live(efforts.live, as_json=as_json)
    if as_json:
        print(json.dumps(report, indent=2))
    return report


def _write(folder: Path, newest: str | None, efforts: _Efforts) -> None:
    """Write the tables of the documentation, and its plot."""
    report: dict[str, Any] = {}
    for name, what in (("", "bus"), ("-live", "live"), ("-journal", "journal")):
        print(f"measuring: {what}", file=sys.stderr)
        with (
            (folder / f"performance{name}.txt").open("w", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
        ):
            report |= asyncio.run(_run(what, efforts, as_json=False))
    drawing = plot.svg(_costs(report["lines"]), _shares(report["live"]))
    (folder / "performance.svg").write_text(drawing, encoding="utf-8")
    if newest is not None:
        print(f"measuring: bus, with {newest}", file=sys.stderr)
        effort = "--quick" if efforts is _QUICK else "--short"
        with (folder / "performance-newest.txt").open("wb") as output:
            subprocess.run([newest, __file__, "bus", effort], stdout=output, check=True)


def _costs(measured: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the microseconds of a frame of whole sessions, by dialect and side."""
    sizes = {dialect: len(frames) for dialect, frames in sessions().items()}
    costs: dict[str, dict[str, float]] = {dialect: {} for dialect in sizes}
    for line in measured:
        work, _, dialect = line["work"].partition(": ")
        if work == "whole session, five handlers" and dialect in costs:
            costs[dialect]["eventbus"] = line["ours_s"] / sizes[dialect] * 1e6
            costs[dialect][line["against"]] = line["other_s"] / sizes[dialect] * 1e6
    return costs


def _shares(measured: list[dict[str, Any]]) -> dict[str, dict[int, float]]:
    """Return the shares of a core, by side and number of sessions."""
    shares: dict[str, dict[int, float]] = {}
    for section in measured:
        if section["name"] == live.report.SHARES:
            for line in section["lines"]:
                shares.setdefault(line["side"], {})[line["sessions"]] = line["cpu"]
    return shares


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what",
        nargs="?",
        choices=("bus", "publish", "decoding", "live", "journal", "bridges", "all", "write"),
        default="bus",
        help="what to measure",
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick", action="store_true", help="run everything once, to see that it works"
    )
    effort.add_argument("--short", action="store_true", help="measure for a fifth of the time")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--to",
        type=Path,
        default=Path(__file__).parents[2] / "docs" / "explanation",
        help="the folder that is written to",
    )
    parser.add_argument(
        "--newest",
        metavar="PYTHON",
        help="another Python, with the same packages, to measure with, too",
    )
    options = parser.parse_args()
    if options.what == "write":
        _write(options.to, options.newest, _QUICK if options.quick else _SHORT)
        return
    efforts = _QUICK if options.quick else _SHORT if options.short else _FULL
    asyncio.run(_run(options.what, efforts, as_json=options.json))


if __name__ == "__main__":
    main()
