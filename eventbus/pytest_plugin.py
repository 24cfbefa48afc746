"""
The pytest plugin: a bus, its events, recordings, a simulator and virtual time as fixtures.

pytest imports this module in every run, if eventbus is installed. So it imports
nothing of eventbus until a test asks for a fixture; the package's root imports nothing either
until somebody asks for a name.

The plugin that runs a test decides which fixtures it gets:

* anyio and pytest-asyncio run async tests. The bus runs from the fixture on until the test's other
  fixtures are gone, in the test's own event loop.
* A sync test has no loop: its bus has sync handlers only, and there is no virtual time.
"""

# ruff: noqa: PLC0415  (imports in functions, for the reason above)

from __future__ import annotations

import inspect
import math
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .bus import EventBus
    from .callers import Caller
    from .middleware import HandlerCall
    from .replay._player import ReplayReport
    from .simulator import Simulator
    from .testing import Capture, FakeClock

__all__ = [
    "eventbus_bus",
    "eventbus_caller",
    "eventbus_clock",
    "eventbus_events",
    "eventbus_replay",
    "eventbus_simulator",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
]

_LAST: Final = 20
_MAX_CHARACTERS: Final = 300
_LOOP_SCOPES: Final = ("function", "class", "module", "package", "session")


# --- hooks of pytest -------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--eventbus-content``."""
    parser.getgroup("eventbus").addoption(
        "--eventbus-content",
        action="store_true",
        help="Show the content of the last events of a test that fails.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add fixtures that pytest-asyncio takes for its own, where that is in use."""
    plugin: Any = config.pluginmanager.get_plugin("asyncio")
    if plugin is not None:
        fixtures = {
            (name := f"_eventbus_{what}_{scope}"): plugin.fixture(
                make(), loop_scope=scope, name=name
            )
            for what, make in (("bus", _make_bus), ("clock", _make_clock))
            for scope in _LOOP_SCOPES
        }
        holder = types.ModuleType("eventbus_asyncio")
        vars(holder).update(fixtures)
        config.pluginmanager.register(holder, holder.__name__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last events of a test that has failed."""
    report = yield
    tail = item.stash.get(_TAIL, None)
    if tail is not None and report.failed:
        with_content = _is_content_shown(item.config)
        report.sections.append(tail.section(with_content=with_content))
    return report


def _is_content_shown(config: pytest.Config) -> bool:
    return bool(config.getoption("--eventbus-content"))


class _Tail:
    """
    The last events of a bus, and the exceptions of its handlers.

    An `eventbus.middleware.EventObserver`: it changes nothing, and nobody counts it as a handler.
    """

    def __init__(self) -> None:
        self._last: deque[tuple[int, object, object]] = deque(maxlen=_LAST)
        self._count = 0

    def event_published(self, event: object, sender: object, _sequence: int, /) -> None:
        name, form = type(event).__name__, getattr(event, "recorded_as", None)
        if name == "RealtimeModelRawServerEvent" or form == "repeat":
            return  # other events say the same
        self._count += 1
        self._last.append((self._count, event, sender))

    def handler_started(self, call: HandlerCall, /) -> None:
        pass

    def handler_finished(self, call: HandlerCall, /) -> None:
        if call.error is not None:
            self._last.append((0, call, call.sender))

    def events_dropped(self, dropped: object, /) -> None:
        pass

    def section(self, *, with_content: bool) -> tuple[str, str]:
        """Return a heading, and a line for each event."""
        if not self._count:
            return "eventbus", "Nothing was published."
        shown = sum(1 for number, *_ in self._last if number)
        heading = f"eventbus: the last {shown} of {self._count} events"
        if not with_content:
            heading += " (--eventbus-content shows their content)"
        return heading, "\n".join(self._lines(with_content=with_content))

    def _lines(self, *, with_content: bool) -> Iterator[str]:
        from .handlers import handler_name
        from .middleware import HandlerCall
        from .testing import outline

        for number, what, sender in self._last:
            if isinstance(what, HandlerCall):
                error = repr(what.error) if with_content else type(what.error).__qualname__
                yield _shortened(f"       {handler_name(what.handler)} has raised {error}")
                continue
            text = repr(what) if with_content else outline(what)
            origin = "" if sender is None else f"  from {sender}"
            yield f"{_shortened(f'{number:>5}  {text}')}{origin}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


_TAIL: Final = pytest.StashKey[_Tail]()


# --- fixtures ----------------------------------------------------------------------------------


@pytest.fixture
def eventbus_bus(request: pytest.FixtureRequest) -> EventBus:
    """
    A strict bus: an exception of a handler fails the test. In an async test it runs.

    Leaving it handles the queued events, and raises the exceptions of async handlers: such a test
    has an error at its teardown.
    """
    if not _is_async(request):
        return _new_bus(request)
    if "eventbus_clock" in request.fixturenames:
        # First: the end of the bus belongs to the same time.
        request.getfixturevalue("eventbus_clock")
    bus: EventBus = _of_loop(request, "bus")
    return bus


@pytest.fixture
def eventbus_events(
    request: pytest.FixtureRequest, eventbus_bus: EventBus
) -> Iterator[Capture[Any]]:
    """
    The events that are published on `eventbus_bus`, as `eventbus.testing.capture` has them.

    Its assertions show no content of an event, unless ``--eventbus-content`` is given.
    """
    from blinker import ANY

    from .testing import Capture

    with_content = _is_content_shown(request.config)
    with Capture[Any](eventbus_bus, (object,), ANY, with_content=with_content) as captured:
        yield captured


@pytest.fixture
def eventbus_clock(request: pytest.FixtureRequest) -> FakeClock:
    """
    Virtual time for an async test: it moves on by itself whenever every task waits.

    An `eventbus.testing.FakeClock` with *autojump*. In trio it is the one that the fixture
    ``anyio_backend`` has given to the loop.
    """
    if not _is_async(request):
        pytest.fail(
            "eventbus_clock is the time of an event loop, and this test is no async function; "
            "make it one, or enter eventbus.testing.FakeClock in the loop that it runs.",
            pytrace=False,
        )
    clock: FakeClock = _of_loop(request, "clock")
    return clock


@pytest.fixture
def eventbus_replay(request: pytest.FixtureRequest, eventbus_bus: EventBus) -> Callable[..., Any]:
    """
    A function that plays a journal or a file of frames on `eventbus_bus`.

    ::

        report = await eventbus_replay("calls/refund.journal")

    A relative path is looked for beside the test's own file, and then in the current directory.
    By default it plays as fast as the handlers allow; all options are those of
    `eventbus.replay.replay`.
    """

    async def replay(source: Any, *, speed: float = math.inf, **options: Any) -> ReplayReport:
        from .replay._player import replay

        return await replay(_found(request, source), eventbus_bus, speed=speed, **options)

    return replay


@pytest.fixture
def eventbus_simulator(request: pytest.FixtureRequest) -> Callable[..., Simulator]:
    """
    A function that makes a realtime service on loopback, to be entered.

    ::

        async with eventbus_simulator("scenario.yaml") as simulator:
            simulator.url

    Its arguments are those of `eventbus.simulator.Simulator`. Nothing waits, unless the
    test has `eventbus_clock`: then everything takes its virtual time. asyncio only.
    """

    def simulator(scenario: Any = None, **options: Any) -> Simulator:
        from .simulator import Simulator

        if isinstance(scenario, (str, Path)) and Path(scenario).suffix:  # no name of a shipped one
            scenario = _found(request, scenario)
        is_virtual = "eventbus_clock" in request.fixturenames
        options.setdefault("speed", 1.0 if is_virtual else math.inf)
        return Simulator(scenario, **options)

    return simulator


@pytest.fixture
def eventbus_caller(eventbus_bus: EventBus) -> Callable[..., Caller]:
    """
    A function that makes a caller, to be entered: of a session on `eventbus_bus`, or of a phone.

    ::

        async with eventbus_caller(session) as caller:
            reply = await caller.ask("Where is my order?", within_ms=1_500)

    Instead of a session it takes the URL of a server for Twilio's Media Streams, or any
    `eventbus.callers.Line`. Further arguments are those of `eventbus.callers.Caller`.
    """

    def caller(agent: Any, **options: Any) -> Caller:
        from .callers import Caller, SessionLine, TwilioLine

        if isinstance(agent, str):
            return Caller(TwilioLine(agent), **options)
        is_session = hasattr(agent, "send_audio")
        return Caller(SessionLine(agent, eventbus_bus) if is_session else agent, **options)

    return caller


# --- the plugin that runs the test -----------------------------------------------------------


def _is_async(request: pytest.FixtureRequest) -> bool:
    """Return True if the test is an async function."""
    function = getattr(request.node, "obj", None)
    hypothesis = getattr(function, "hypothesis", None)
    return inspect.iscoroutinefunction(getattr(hypothesis, "inner_test", function))


def _of_loop(request: pytest.FixtureRequest, what: str) -> Any:
    """Return the named fixture of the test's event loop."""
    if "anyio_backend" in request.fixturenames:
        return request.getfixturevalue(f"_eventbus_{what}_anyio")
    if request.config.pluginmanager.has_plugin("asyncio"):
        marker = request.node.get_closest_marker("asyncio")
        wanted = {} if marker is None else marker.kwargs
        default = request.config.getini("asyncio_default_test_loop_scope") or "function"
        return request.getfixturevalue(f"_eventbus_{what}_{wanted.get('loop_scope') or default}")
    pytest.fail(
        "Nothing runs this async test: mark it with @pytest.mark.anyio, or set anyio_mode = auto.",
        pytrace=False,
    )


def _new_bus(request: pytest.FixtureRequest) -> EventBus:
    """Return a bus; its last events are shown if the test fails."""
    from .bus import EventBus

    request.node.stash[_TAIL] = tail = _Tail()
    return EventBus(strict=True, observers=[tail])


# A function for each fixture: pytest-asyncio writes down in the function which loop it is for.


def _make_bus() -> Callable[..., AsyncIterator[EventBus]]:
    async def bus(request: pytest.FixtureRequest) -> AsyncIterator[EventBus]:
        """Run a bus."""
        async with _new_bus(request) as bus:
            yield bus

    return bus


def _make_clock() -> Callable[..., AsyncIterator[FakeClock]]:
    async def clock(request: pytest.FixtureRequest) -> AsyncIterator[FakeClock]:
        """Let the event loop have virtual time."""
        from .testing import FakeClock

        with _clock_of_trio(request) or FakeClock(autojump=True) as clock:
            yield clock

    return clock


def _clock_of_trio(request: pytest.FixtureRequest) -> FakeClock | None:
    """Return the clock that the loop has from its start on: trio takes no other."""
    if "anyio_backend" not in request.fixturenames:
        return None
    backend = request.getfixturevalue("anyio_backend")
    name, options = (backend, {}) if isinstance(backend, str) else backend
    if name != "trio":
        return None
    clock: FakeClock | None = options.get("clock")
    if clock is None:
        pytest.fail(
            "In trio, a clock is chosen when the loop starts: let the fixture anyio_backend return "
            "('trio', {'clock': FakeClock(autojump=True)}), or run this test on asyncio.",
            pytrace=False,
        )
    return clock


# anyio takes any async fixture of a test that it runs.
_bus_of_anyio = pytest.fixture(name="_eventbus_bus_anyio")(_make_bus())
_clock_of_anyio = pytest.fixture(name="_eventbus_clock_anyio")(_make_clock())


def _found(request: pytest.FixtureRequest, source: Any) -> Any:
    """Return where a file is, if *source* is the name of one."""
    if not isinstance(source, (str, Path)):
        return source
    places = [request.path.parent / source, Path(source)]
    for place in places:
        if place.exists():
            return place
    msg = f"There is no {source}, neither in {places[0].parent} nor in the current directory."
    raise FileNotFoundError(msg)
