"""
The benchmarks work: each one runs, once, and nothing is timed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import eventbus

pytestmark = pytest.mark.slow

PEERS = {"blinker", "pyee", "psygnal", "eventkit"}


@pytest.fixture(scope="module")
def report(checkout: Path) -> dict[str, object]:
    """
    The output of the benchmarks, measured so quickly that the figures mean nothing.
    """
    # In a process of their own: one imports half a dozen SDKs, and the modules are top-level ones.
    done = subprocess.run(
        [sys.executable, "tests/benchmarks", "all", "--quick", "--json"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(Path(eventbus.__file__).parents[1])},
        capture_output=True,
        check=False,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_row_of_the_table_is_measured(report):
    """
    One command measures all that the design sets a target for, against everybody it names.
    """
    against = {}
    for line in report["lines"]:
        against.setdefault(line["work"], set()).add(line["against"])

    dialects = ("OpenAI", "Voice Live", "xAI")
    kinds = ("audio, 20 ms", "audio, 200 ms", "transcript delta")
    frames = [f"{kind}, {dialect}" for kind in kinds for dialect in dialects]
    frames += ["message item", "message item with object", "message item, colons"]
    for work in ("publish to 1 handler", "publish to 10 handlers"):
        assert {"for loop", *PEERS} <= against[work]
        assert {"eventbus, in a scope", "eventbus, with a sender"} <= against[work]
    for work in (f"frame to handler: {name}" for name in frames):
        assert {"msgspec", "openai-agents", "openai SDK"} <= against[work]
    for work in (f"to an async handler, bursts of {size}" for size in (1, 100, 1000)):
        assert against[work] == {"asyncio.Queue"}
    for sessions in ("1 session", "10 sessions", "200 sessions"):
        work = f"to async handlers, one event a tick, {sessions}"
        assert against[work] == {"asyncio.Queue"}
    for session in ("as recorded", "two seconds of speech"):
        assert against[f"a short session, {session}"] == {
            "eventbus, on a new bus",
            "eventbus, in a new scope",
            "eventbus, making the bus, too",
        }
    for dialect in ("OpenAI", "Azure", "Voice Live", "xAI"):
        assert "openai-agents" in against[f"whole session, five handlers: {dialect}"]
    for length in ("20 ms", "200 ms"):
        peers = {"base64", "openai-agents", "openai SDK"}
        variants = {"eventbus, GPT-Live", "eventbus, published, too"}
        assert against[f"send audio, {length}"] == peers | variants
    for work in ("audio, 20 ms", "audio, 200 ms", "transcript delta"):
        assert "msgspec" in against[f"frame to handler: {work}, Gemini"]
    assert "msgspec" in against["whole session, five handlers: Gemini"]
    assert {"modelTurn, audio", "turnComplete"} <= against["each rule of Gemini"]
    assert "entered" in against["memory of an idle scope"]
    assert {"scopes", "classes", "subscriptions"} <= against["publish, 10 to many"]


def test_every_side_of_a_live_session_is_measured(report):
    """
    Live sessions are measured at every side, with and without a handler that sleeps; so is the
    memory that a session of each takes.
    """
    ours = {"eventbus, sync handler", "eventbus, async handler"}
    peers = {"openai-agents, listener", "openai-agents, session", "openai SDK"}
    *loads, shares, memory = report["live"]

    for load in loads:
        lines = {(line["side"], line["is_slow"]): line for line in load["lines"]}
        assert {side for side, is_slow in lines if is_slow} == ours | peers
        assert {side for side, is_slow in lines if not is_slow} == (
            ours | peers | {"websockets loop", "websockets echo loop"}
        )
        assert all(line["p99_us"] > 0 for line in lines.values())
    assert {line["side"] for line in memory["lines"]} == ours | peers | {"websockets loop"}
    assert {line["side"] for line in shares["lines"]} == {"recorded", "not recorded"}
    assert len(shares["lines"]) == 4


def test_plot_has_every_figure(checkout):
    """
    A bar for each side and dialect, and a point for each number of sessions, say their value.
    """
    spec = importlib.util.spec_from_file_location("plot", checkout / "tests/benchmarks/plot.py")
    plot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plot)
    costs = {"OpenAI": {"eventbus": 2.5, "a < b": 60.0}, "xAI": {"eventbus": 4.0}}
    shares = {"recorded": {10: 0.02, 200: 0.6}, "not recorded": {10: 0.01, 200: 0.4}}

    drawing = ET.fromstring(plot.svg(costs, shares))

    name = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in drawing.iter(f"{name}title")]
    assert titles[1:] == [
        "OpenAI, eventbus: 2.5 µs",
        "OpenAI, a < b: 60.0 µs",
        "xAI, eventbus: 4.0 µs",
        "recorded, 10 sessions: 2%",
        "recorded, 200 sessions: 60%",
        "not recorded, 10 sessions: 1%",
        "not recorded, 200 sessions: 40%",
    ]
    for bar in drawing.iter(f"{name}rect"):
        assert float(bar.get("height")) > 0


def test_report_names_what_was_compared(report):
    """
    A report says on which Python it was made, and with which version of everybody else.
    """
    assert report["python"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert {*PEERS, "openai-agents", "openai", "msgspec"} <= report["versions"].keys()
