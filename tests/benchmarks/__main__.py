"""
How fast eventbus is: one table of ratios, measured side by side in one run.

Run it from the checkout, with everything installed that it compares with::

    pip install -e '.[bench]'
    python tests/benchmarks
    python tests/benchmarks publish
    python tests/benchmarks decoding
    python tests/benchmarks live
    python tests/benchmarks journal
    python tests/benchmarks bridges

Each takes two to three minutes: the bus and the decoder by themselves, each of them alone, 200 live
sessions over sockets, journals, and bridges beside bare nats-py (which needs the extra ``test``).
The modules beside this one tell how things are compared; ``docs/explanation/performance.md`` has
the tables of one run, and what follows from them.
"""

# ruff: noqa: T201 (printing is what a command does)

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version

import attrs
import live.report
import live.rounds
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
)


def machine() -> dict[str, object]:
    """Return what it is measured on, and compared with."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in _COMPARED_WITH},
    }


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


async def _run(what: str, *, is_quick: bool, as_json: bool) -> None:
    facts = machine()
    if is_quick:
        print("Everything was run once: the figures mean nothing.", file=sys.stderr)
    if not as_json:
        print(f"{facts['python']}, {facts['system']}, {facts['cores']} cores")
        print(*(f"{name} {number}" for name, number in facts["versions"].items()), sep=", ")
    report = dict(facts)
    if what in ("bus", "all"):
        table = lines(QUICK if is_quick else Effort())
        report["lines"] = await _table(table, as_json=as_json)
    if what in ("publish", "decoding"):  # parts of the table of the bus
        part = publishing_lines if what == "publish" else decoding_lines
        table = part(QUICK if is_quick else Effort())
        report["lines"] = await _table(table, as_json=as_json)
    if what in ("journal", "all"):
        table = journal_lines(QUICK if is_quick else LONG)
        report["journal"] = await _table(table, as_json=as_json)
    if what == "bridges":  # not of "all": it needs the extra nats, and a server
        table = bridge_lines(QUICK if is_quick else LONG, 20 if is_quick else 1_000)
        report["bridges"] = await _table(table, as_json=as_json)
    if what in ("live", "all"):
        plan = live.rounds.QUICK if is_quick else live.rounds.FULL
        report["live"] = await _live(plan, as_json=as_json)
    if as_json:
        print(json.dumps(report, indent=2))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what",
        nargs="?",
        choices=("bus", "publish", "decoding", "live", "journal", "bridges", "all"),
        default="bus",
        help="what to measure",
    )
    parser.add_argument(
        "--quick", action="store_true", help="run everything once, to see that it works"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    asyncio.run(_run(options.what, is_quick=options.quick, as_json=options.json))


if __name__ == "__main__":
    main()
