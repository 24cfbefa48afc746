"""
Clients that had no part in making the simulator: each speaks to it, and through the proxy.

They are no dependencies of eventbus: ``nox -f .ci/noxfile.py -s clients`` installs and runs them.
Where one of them isn't installed, its tests are skipped. ``--clients-table FILE`` writes the
outcome, client by scenario, as the table of the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from eventbus import EventBus
from eventbus.journal import Recorder
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.replay import replay
from eventbus.simulator import Simulator

SCENARIO = {
    "pace": {"first_output_ms": 50, "generation_speed": 8},
    "turns": [
        {"when": "story", "say": "Once upon a time, there was a telephone on a wall. " * 20},
        {"when": "weather", "call": {"tool": "get_weather", "arguments": {"city": "Oslo"}}},
        {"when": {"tool": "get_weather"}, "say": "In Oslo: {output}."},
    ],
    "otherwise": "You said: {user}",
}
SECONDS = 120  # for anything that should come at once

# The folder node_modules with npm's packages, and the columns of the table.
MODULES = os.environ.get("EVENTBUS_NODE_MODULES", "")
SCENARIOS = {
    "test_text": "text",
    "test_audio_with_turn_detection": "audio, turn detection",
    "test_tool_round": "tool round",
    "test_interruption": "interruption",
}


@pytest.fixture
def anyio_backend():
    """
    Each of these clients runs on asyncio.
    """
    return "asyncio"


@pytest.fixture(params=["direct", "proxy"])
async def service(request, tmp_path):
    """
    A simulator, and its address: its own, or that of a proxy before it.

    The proxy's connection is recorded, and the recording has to replay exactly. A module whose
    ``TLS`` is true gets both with TLS.
    """
    tls = getattr(request.module, "TLS", False)
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "direct":
            simulator = await stack.enter_async_context(Simulator(SCENARIO, tls=tls))
            yield simulator, simulator
            return
        simulator = await stack.enter_async_context(Simulator(SCENARIO))
        bus = await stack.enter_async_context(EventBus())
        path = tmp_path / "client.journal"
        stack.enter_context(stack.enter_context(Recorder(path)).attach(bus))
        proxy = await stack.enter_async_context(RealtimeProxy(simulator.url, bus, tls=tls))
        yield simulator, proxy
    async with EventBus() as again:
        report = await replay(path, again, speed=math.inf, strict=True)
    assert report.published > len(simulator.sent)
    assert report.unreadable == 0


def refusals(simulator):
    """
    Return the errors that the simulator has told: none, if it understands its client.
    """
    return [event["error"] for event in simulator.sent if event["type"] == "error"]


def said(simulator):
    """
    Return what the model has said, in audio or in writing, an answer each.
    """
    done = ("response.output_audio_transcript.done", "response.output_text.done")
    events = [event for event in simulator.sent if event["type"] in done]
    return [event.get("transcript", event.get("text")) for event in events]


async def until(condition):
    """
    Wait until *condition* is true, of something that a client or the simulator has done.
    """
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  # a client tells nobody
            await asyncio.sleep(0.01)


def has_sent(simulator, type_):
    """
    Return a condition: that the simulator has sent an event of this type.
    """
    return lambda: any(event["type"] == type_ for event in simulator.sent)


async def status_of_the_answer(simulator):
    """
    Wait until the first answer is over, and return its status.
    """
    await until(has_sent(simulator, "response.done"))
    done = next(event for event in simulator.sent if event["type"] == "response.done")
    return done["response"]["status"]


async def run_node(program, scenario, place, folder, *files):
    """
    Run a program beside this file with Node, for one of its scenarios; it exits with 0 if fine.
    """
    shutil.copy(Path(__file__).parent / program, folder)
    (folder / "node_modules").symlink_to(MODULES)
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": place.base_url,
        "REALTIME_URL": place.url,
        "OPENAI_API_KEY": "none",
    }
    if place.ca_file is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(place.ca_file)
    process = await asyncio.create_subprocess_exec(
        "node", str(folder / program), scenario, *map(str, files), env=environment
    )
    try:
        async with asyncio.timeout(2 * SECONDS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def node_version(package):
    """
    Return the version of a package of npm's.
    """
    file = Path(MODULES) / package / "package.json"
    return json.loads(file.read_text(encoding="utf-8"))["version"]


needs_node = pytest.mark.skipif(
    not MODULES or shutil.which("node") is None,
    reason="EVENTBUS_NODE_MODULES names no folder with npm's packages, or there is no node",
)


# --- the table -------------------------------------------------------------------------------


def pytest_addoption(parser):
    """
    Add the option that names the table's file.
    """
    parser.addoption("--clients-table", type=Path, help="Write client by scenario to this file.")


def _client_of(item):
    """
    Return package and title of the client that a test is for: its parameter, or its module's.
    """
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("client", getattr(item.module, "CLIENT", None))


_OUTCOMES = pytest.StashKey[dict]()
_IS_SKIPPED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """
    Keep the outcome of a scenario: the worst of its runs, and of their set-up.
    """
    report = yield
    if report.skipped:  # its tear-down is reported as passed
        item.stash[_IS_SKIPPED] = True
    client = _client_of(item)
    scenario = SCENARIOS.get(getattr(item, "originalname", ""))
    is_run = not item.stash.get(_IS_SKIPPED, False)
    if client is not None and scenario is not None and is_run:
        package, title = client
        number = node_version(package) if title.startswith("npm") else version(package)
        row = item.config.stash.setdefault(_OUTCOMES, {}).setdefault(f"{title} {number}", {})
        row[scenario] = row.get(scenario, True) and report.passed
    return report


def pytest_sessionfinish(session):
    """
    Write the table.
    """
    path = session.config.getoption("--clients-table", None)
    outcomes = session.config.stash.get(_OUTCOMES, {})
    if path is None or not outcomes:
        return
    columns = list(SCENARIOS.values())
    words = {True: "yes", False: "fails", None: "not tried"}
    lines = [f"| client | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for client in sorted(outcomes, key=str.lower):
        cells = (words[outcomes[client].get(column)] for column in columns)
        lines.append(f"| {client} | {' | '.join(cells)} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
