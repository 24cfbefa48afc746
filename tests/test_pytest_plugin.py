"""
The pytest plugin, in runs of its own: fixtures, reports, and the runner of async tests.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

# A run in this process forgets what it was the first to import, and some of it can't be forgotten.
import eventbus.simulator  # noqa: F401
from eventbus.realtime.openai import OpenAIRealtimeModel  # noqa: F401
from eventbus.replay import replay  # noqa: F401

pytest_plugins = ["pytester"]

# Where eventbus is installed, pytest finds the plugin itself, and takes it once only.
_IS_INSTALLED = "eventbus" in importlib.metadata.entry_points(group="pytest11").names
_PLUGIN = () if _IS_INSTALLED else ("-p", "eventbus.pytest_plugin")

HEAD = """
import anyio
import pytest
from eventbus.events import *
"""
FRAMES = """\
{"type": "response.created", "response": {"id": "resp_1"}}
{"type": "response.done", "response": {"id": "resp_1", "status": "completed"}}
"""

# One for each who runs async tests: what to call pytest with, and the test's mark.
ANYIO = ((), "@pytest.mark.anyio")
STRICT = (("-o", "asyncio_mode=strict"), "@pytest.mark.asyncio")
AUTO = (("-o", "asyncio_mode=auto"), "")
MODULE_LOOP = (("-o", "asyncio_mode=strict"), "@pytest.mark.asyncio(loop_scope='module')")


@pytest.fixture
def run(pytester):
    """
    Run a test module, in this process.
    """

    def run(source, *args):
        pytester.makepyfile(HEAD + source)
        if args:
            pytest.importorskip("pytest_asyncio")
            args += ("-o", "asyncio_default_fixture_loop_scope=function")
        else:
            args = ("-p", "no:asyncio")
        return pytester.runpytest_inprocess(*_PLUGIN, *args, "-p", "no:cacheprovider")

    return run


ASYNC_TESTS = """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
def heard(eventbus_bus):
    heard = []
    @eventbus_bus.on(RealtimeModelTurnStartedEvent)
    async def hear(event):
        heard.append(event)
    return heard

{mark}
async def test_bus_runs_in_the_loop_of_the_test(eventbus_bus, eventbus_events, heard):
    eventbus_bus.publish(RealtimeModelTurnStartedEvent("resp_1"))
    await eventbus_events.wait_for(RealtimeModelTurnStartedEvent)
    await anyio.wait_all_tasks_blocked()
    assert heard == eventbus_events.events

{mark}
async def test_time_is_virtual(eventbus_bus, eventbus_clock):
    bus_runs_on = anyio.current_time()
    await anyio.sleep(3600)
    assert eventbus_clock.now == 3600
    assert anyio.current_time() == bus_runs_on + 3600

{mark}
async def test_file_is_replayed(eventbus_bus, eventbus_events, eventbus_replay, heard):
    report = await eventbus_replay("call.jsonl")
    assert report.published == 4
    assert len(heard) == 1
    eventbus_events.assert_published(RealtimeModelTurnEndedEvent, status="completed")

{mark}
async def test_simulator_is_as_fast_as_the_time(eventbus_bus, eventbus_simulator, eventbus_clock):
    from eventbus.realtime.openai import OpenAIRealtimeModel
    async with eventbus_simulator() as simulator:
        model = OpenAIRealtimeModel()
        with model.attach(eventbus_bus):
            await model.connect(dict(url=simulator.url, api_key="none"))
            assert simulator.port
            await model.close()

{mark}
async def test_caller_speaks_to_a_session(eventbus_bus, eventbus_clock, eventbus_caller):
    from eventbus.simulator.speech import spoken_text
    class Session:
        heard = b""
        async def send_audio(self, audio):
            self.heard += audio
    session = Session()
    async with eventbus_caller(session) as caller:
        await caller.say("Good morning")
    assert spoken_text(session.heard) == "Good morning"
"""


@pytest.mark.parametrize(
    "runner", [ANYIO, STRICT, AUTO, MODULE_LOOP], ids=["anyio", "strict", "auto", "module loop"]
)
def test_async_tests_have_a_running_bus(run, pytester, runner):
    """
    The plugins of anyio and of asyncio, in each of its modes and loops, run them with all fixtures.
    """
    args, mark = runner
    pytester.makefile(".jsonl", call=FRAMES)

    run(ASYNC_TESTS.replace("{mark}", mark), *args).assert_outcomes(passed=5)


def test_trio_runs_them_too(run):
    """
    In trio, the bus runs as well; virtual time is that of the clock which the loop began with.
    """
    result = run("""
from eventbus.testing import FakeClock

CLOCK = FakeClock(autojump=True)
pytestmark = pytest.mark.anyio

@pytest.fixture(params=["trio", ("trio", {"clock": CLOCK})], ids=["trio", "with a clock"])
def anyio_backend(request):
    return request.param

async def test_runs(eventbus_bus):
    assert eventbus_bus.is_running

async def test_time(eventbus_bus, eventbus_clock):
    assert eventbus_clock is CLOCK
    await anyio.sleep(3600)
""")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*let the fixture anyio_backend return*"])


def test_sync_test_has_a_bus_without_a_loop(run):
    """
    Sync handlers need none; virtual time does, and says so.
    """
    result = run("""
def test_bus(eventbus_bus, eventbus_events):
    eventbus_bus.publish(RealtimeModelTurnStartedEvent("resp_1"))
    eventbus_events.assert_published(RealtimeModelTurnStartedEvent)

def test_time(eventbus_clock):
    pass
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*this test is no async function*"])


def test_async_test_that_nobody_runs_says_what_to_do(run):
    """
    Without a mark there is no loop, and the bus can't run.
    """
    result = run("async def test_bus(eventbus_bus): pass")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mark it with @pytest.mark.anyio*"])


def test_crash_of_a_handler_fails_its_test(run):
    """
    A sync handler's where it is published, an async one's at the end.
    """
    result = run("""
@pytest.fixture
def anyio_backend():
    return "asyncio"

def fail(event):
    raise ValueError("boom")

async def fail_later(event):
    raise ValueError("boom")

def test_sync(eventbus_bus):
    eventbus_bus.subscribe(fail, RealtimeModelTurnStartedEvent)
    eventbus_bus.publish(RealtimeModelTurnStartedEvent("resp_1"))

@pytest.mark.anyio
async def test_async(eventbus_bus):
    eventbus_bus.subscribe(fail_later, RealtimeModelTurnStartedEvent)
    eventbus_bus.publish(RealtimeModelTurnStartedEvent("resp_1"))
""")

    result.assert_outcomes(failed=1, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*.fail_later has raised ValueError"])


FAILING = """
def test_fails(eventbus_bus):
    for number in range(30):
        eventbus_bus.publish(RealtimeModelTranscriptDeltaEvent(f"item_{number}", "my card is 4711",
            "resp_1"), sender="call-1")
        eventbus_bus.publish({"type": "x"}, sender="call-1")
    assert not eventbus_bus

def test_fails_early(eventbus_bus):
    assert not eventbus_bus

def test_passes(eventbus_bus):
    eventbus_bus.publish(RealtimeModelTurnStartedEvent("passed"))
"""


def test_failure_shows_the_last_events_without_what_was_said(run):
    """
    The last twenty events are in the report, by their classes and ids, and raw ones aren't.
    """
    result = run(FAILING)

    result.assert_outcomes(failed=2, passed=1)
    shown = [line for line in result.outlines if "TranscriptDeltaEvent(item_id=item_" in line]
    assert len(shown) == 20
    assert "item_29" in shown[-1]
    assert "<15 characters>" in shown[-1]
    assert shown[-1].endswith("from call-1")
    result.stdout.fnmatch_lines(["*the last 20 of 30 events*", "*Nothing was published*"])
    result.stdout.no_fnmatch_line("   30 *4711*")
    assert "passed)" not in result.stdout.str()


def test_what_was_said_is_shown_if_it_is_asked_for(pytester, run):
    """
    With --eventbus-content, the events are written out.
    """
    pytester.makeini("[pytest]\naddopts = --eventbus-content")

    result = run(FAILING)

    result.stdout.fnmatch_lines(["   30  RealtimeModelTranscriptDeltaEvent(*4711*"])


ASSERTIONS = """
@pytest.fixture
def events(eventbus_bus, eventbus_events):
    eventbus_bus.publish(RealtimeModelTranscriptDeltaEvent("item_1", f"PIN {47}11", "resp_1"))
    return eventbus_events

def test_published(events):
    events.assert_published(RealtimeModelTurnEndedEvent)

def test_published_with_fields(events):
    events.assert_published(RealtimeModelTranscriptDeltaEvent, delta="", response_id="resp_2")

def test_not_published(events):
    events.assert_not_published(RealtimeModelTranscriptDeltaEvent)

def test_order(events):
    events.assert_order(RealtimeModelTranscriptDeltaEvent, RealtimeModelTurnEndedEvent)
"""


def test_assertions_quote_nothing_that_was_said(run):
    """
    An assertion shows events as the report does: lengths and ids, and no content.
    """
    result = run(ASSERTIONS)

    result.assert_outcomes(failed=4)
    result.stdout.no_fnmatch_line("*4711*")
    result.stdout.fnmatch_lines(["E * delta=<8 characters>, response_id=resp_1"])


def test_assertions_quote_what_was_said_if_it_is_asked_for(pytester, run):
    """
    With --eventbus-content, assertions write events out, as those of capture do.
    """
    pytester.makeini("[pytest]\naddopts = --eventbus-content")

    result = run(ASSERTIONS)

    result.stdout.fnmatch_lines(["E * delta='PIN 4711', response_id='resp_1'"])


def test_file_that_isnt_there_is_named_with_where_it_was_looked_for(run):
    """
    A recording is looked for beside the test, and in the current directory.
    """
    result = run("""
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_replay(eventbus_replay):
    await eventbus_replay("nowhere.journal")
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*There is no nowhere.journal, neither in *"])


@pytest.mark.slow
def test_run_that_does_not_use_it_imports_nothing(checkout, tmp_path):
    """
    Of eventbus, a run of other tests imports the package's root and the plugin, and no more.
    """
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n", encoding="utf-8")
    script = (
        f"import sys; sys.path.append({str(checkout)!r})\n"
        "import pytest\n"
        f"assert pytest.main(['-q', '-p', 'no:cacheprovider', *{_PLUGIN!r}]) == 0\n"
        "assert 'eventbus.pytest_plugin' in sys.modules\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'eventbus'])"
    )

    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "['eventbus', 'eventbus.pytest_plugin']"
