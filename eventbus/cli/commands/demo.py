"""
``eventbus demo``: a call to the simulator, through an application that the package ships.

Everything is as in a call to a real service, the socket included, except for the voices: the model
is the simulator, and the caller a script, both with the simulator's synthetic voice.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import click

from ...bus import EventBus
from ...events import RealtimeModelTranscriptDoneEvent
from ...exceptions import BridgeError, RealtimeConnectionError
from ...realtime.openai import OpenAIRealtimeModel
from ...realtime.session import RealtimeSession
from ...simulator import Scenario, Simulator
from ...simulator.scenario import Call, Pace, Turn, When
from ...simulator.speech import silence, speak
from ...telemetry._summary import SummaryObserver
from ...testing import FakeClock
from .. import demo_app
from ..inspecting import inspected
from ..lazy import load
from ..live import PIECE_MS, CallClock, paced
from ..terminal.console import LiveScreen, Output, PlainScreen
from ..terminal.exits import ExitCode, NoConnection
from ..terminal.summary import write_summary
from ..waking import run_loop

_BEFORE: Final = """\
A synthetic call: both voices are made by eventbus, and no audio is played. The lines below are
written by the handlers of a small example app:
{app}
"""

_AFTER: Final = """
One handler has crashed on purpose, and the caller has not noticed.
Talk to a simulated model yourself, in text; type, or give the words:
  eventbus run --sim --text
  eventbus run --sim --say "Good morning!"
"""

_QUESTIONS: Final = ("Where is order 1042?", "Can I still send it back?", "Good, thank you!")
_INTERRUPT_AFTER_MS: Final = 1_200

_SCENARIO: Final = Scenario(
    name="demo",
    description="A shop's telephone; synthetic.",
    pace=Pace(first_output_ms=150, transcription_ms=100),
    turns=[
        Turn(
            when=When(matches=r"order (?P<order>\d+)"),
            call=Call("look_up_order", '{"order": 1042}'),
            then=Turn(say="It left this morning."),
        ),
        Turn(
            when=When(text="send it back"),
            say="Yes, of course. You have thirty days, counted from the day that it arrives. Put "
            "everything back into its box, print the label that you find in your account, and",
        ),
    ],
    otherwise=Turn(say="Goodbye!"),
)


class _Caller:
    """
    The caller of the shop, as a microphone records it.

    Args:
        agent: The agent, whose speech the caller hears.
    """

    def __init__(self, agent: demo_app.PhoneAgent) -> None:
        self._agent = agent
        self._answers: list[str] = []

    def note(self, event: object, _sender: object) -> None:
        """Note the answers that are complete, and can be heard to their end."""
        if isinstance(event, RealtimeModelTranscriptDoneEvent):
            self._answers.append(event.item_id)

    def pieces(self) -> Iterator[bytes]:
        """Yield the pieces that the microphone records."""
        first, second, third = _QUESTIONS
        yield from _said(first)
        yield from _silence_until(lambda: self._has_heard(1))
        yield from _said(second)
        yield from _silence_until(self._has_heard_enough)
        yield from _said(third)
        yield from _silence_until(lambda: self._has_heard(3))

    def _has_heard(self, count: int) -> bool:
        return len(self._answers) >= count and not self._agent.unplayed

    def _has_heard_enough(self) -> bool:
        playing = self._agent.tracker.get_state()
        return (
            playing["elapsed_ms"] is not None
            and playing["current_item_id"] != self._answers[0]
            and playing["elapsed_ms"] >= _INTERRUPT_AFTER_MS
        )


def _said(text: str) -> Iterator[bytes]:
    sound = speak(text)
    size = len(silence(PIECE_MS))
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


def _silence_until(is_over: Callable[[], bool]) -> Iterator[bytes]:
    return itertools.takewhile(lambda _: not is_over(), itertools.repeat(silence(PIECE_MS)))


@click.pass_context
def command(
    ctx: click.Context, *, speed: float, forward_to: str | None, is_inspected: bool
) -> None:
    """Run the command; see ``eventbus.cli.usage.demo``."""
    if forward_to is not None and speed == math.inf:
        msg = "--forward needs real time; leave out --speed max."
        raise click.UsageError(msg)
    bridging = None if forward_to is None else _Bridging(forward_to)
    # At infinite speed all would be said at once, without interruption; so the time is virtual.
    time = FakeClock(autojump=True) if speed == math.inf else contextlib.nullcontext()
    speed = 1.0 if speed == math.inf else speed
    clock, output, bus = CallClock(speed), Output(), EventBus()
    click.echo(_BEFORE.format(app=inspect.getfile(demo_app)), err=True)
    was_interrupted = False
    with (LiveScreen if output.is_terminal else PlainScreen)(output, clock) as screen:
        agent = demo_app.PhoneAgent(screen, speed)
        bus.register(agent)
        caller = _Caller(agent)
        observer = SummaryObserver(bus, on_event=caller.note)

        async def talk() -> None:
            with time:
                async with (
                    bridging.forwarding(bus) if bridging else contextlib.nullcontext(),
                    Simulator(_SCENARIO, speed=speed, record=False, allow_model="*") as service,
                    bus,
                    _session_with(service, bus, agent, bridging) as session,
                ):
                    if inspection is not None:
                        inspection.listen(session.model, session.sender)
                    clock.start()
                    async for piece in paced(caller.pieces(), speed):
                        await session.send_audio(piece)
                        output.flush()

        with (
            observer.observing(),
            inspected(bus, "eventbus demo", is_wanted=is_inspected) as inspection,
        ):
            try:
                run_loop(talk)
            except KeyboardInterrupt:
                was_interrupted = True
            except (RealtimeConnectionError, BridgeError) as exc:
                raise NoConnection(str(exc)) from exc
        summary = observer.summary(was_interrupted=was_interrupted)
    write_summary(output, summary, is_json=False)
    if was_interrupted:
        ctx.exit(ExitCode.INTERRUPTED)
    click.echo(_AFTER, err=True)


class _Bridging:
    """
    Where the call's events are forwarded to.

    Attributes:
        call: The call's id.
    """

    def __init__(self, url: str) -> None:
        # Imported for those only who forward: it needs another extra.
        self._nats = load("eventbus.bridges.nats", "eventbus demo --forward", ("nats",))
        self._url = url
        self.call = f"demo-{secrets.token_hex(2)}"

    @contextlib.asynccontextmanager
    async def forwarding(self, bus: EventBus) -> AsyncIterator[None]:
        """Forward the events of *bus* while this is entered."""
        async with self._nats.NatsBridge(self._url) as bridge:
            bridge.forward(bus)
            click.echo(f"Forwarding the call {self.call} to the stream calls.", err=True)
            yield


def _session_with(
    service: Simulator, bus: EventBus, agent: demo_app.PhoneAgent, bridging: _Bridging | None
) -> RealtimeSession:
    return RealtimeSession(
        OpenAIRealtimeModel(),
        bus,
        sender=None if bridging is None else bridging.call,
        tools=[agent.look_up_order],
        config={
            "url": service.url,
            "api_key": "none",  # the simulator takes any
            "initial_model_settings": demo_app.SETTINGS,
            "playback_tracker": agent.tracker,
        },
    )
