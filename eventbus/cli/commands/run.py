"""
``eventbus run``: a live session with the user's handlers.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import sys
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click

from ...audio._playout import PlayoutQueue
from ...audio._wav import WavReader, WavWriter
from ...bus import EventBus, Inspection
from ...codec import dumps
from ...events import RealtimeModelRawServerEvent
from ...exceptions import CodecError, RealtimeConnectionError, ScenarioError
from ...journal._recorder import Recorder as JournalRecorder
from ...realtime._secrets import Secret
from ...realtime.events import REPEATS, RealtimeHistoryUpdated
from ...realtime.model import RealtimeModelConfig
from ...realtime.openai import GPTLiveModel
from ...realtime.playback import RealtimePlaybackTracker
from ...realtime.session import RealtimeSession
from ...telemetry._summary import Summary, SummaryObserver
from ...wire.openai import RealtimeModelSilenceEvent
from ..activity import Activity
from ..apps import LiveApp, load_live_app
from ..inspecting import inspected
from ..lazy import load
from ..live import PIECE_MS, CallClock, Ear, LiveCall, Write
from ..services import Service
from ..sound import open_loudspeaker, open_microphone, open_reader, open_writer
from ..terminal.captions import Captions
from ..terminal.console import LiveScreen, Output, PlainScreen, Screen
from ..terminal.exits import BadInput, ExitCode, NoConnection, exit_code
from ..terminal.record_options import Recording, read_recording, recorded
from ..terminal.summary import report_crash, write_summary
from ..terminal.typed_lines import typed_lines
from ..waking import run_loop

_NO_KEY: Final = "none"  # for services on this machine, which need no key

# Events that repeat others; the second has the whole history, with every word that is added.
_LEFT_OUT: Final = (
    *(RealtimeModelRawServerEvent, RealtimeModelSilenceEvent, RealtimeHistoryUpdated),
    *REPEATS,
)

_TYPE_HINT: Final = "There is no microphone: type your side, and end with Ctrl-D."


_SETTLED_TYPING: Final = 1.0
"""Seconds without an event after which the answer to a typed message is complete."""


@attrs.frozen
class _Options:
    """The options of the command; see `command`."""

    app_spec: str | None
    url: str | None
    model: str | None
    scenario: str | None
    wav: Path | None
    texts: tuple[str, ...]
    is_typed: bool
    out: Path | None
    instructions: str | None
    voice: str | None
    max_seconds: float | None
    recording: Recording | None
    is_inspected: bool
    is_json: bool


@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    journal: Path | None,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    is_forced: bool,
    **given: Any,
) -> None:
    """Run the command; see ``eventbus.cli.usage.run``."""
    recording = read_recording(
        journal, no_audio=no_audio, no_content=no_content, fields=fields, is_forced=is_forced
    )
    options = _Options(recording=recording, **given)
    _check(options)
    output = Output()
    # The app's own prints are not JSON.
    with contextlib.redirect_stdout(sys.stderr) if options.is_json else contextlib.nullcontext():
        run = _Run(options, output)
        summary = run.run()
    if run.was_connected or run.failure is None:
        write_summary(output, summary, is_json=options.is_json)
    if run.failure is not None and not summary.was_interrupted:
        raise _failure(run.failure, run.key)
    ctx.exit(exit_code(summary) or (ExitCode.NO_OUTPUT if run.has_lost_records else ExitCode.OK))


def _check(options: _Options) -> None:
    if options.scenario is not None and options.url is not None:
        msg = "--sim and --url can't both be given: the simulator has an address of its own."
        raise click.UsageError(msg)
    inputs = {"--wav": options.wav, "--say": options.texts, "--text": options.is_typed}
    given = [name for name, value in inputs.items() if value]
    if len(given) > 1:
        msg = f"{' and '.join(given)} can't be given together; choose one input."
        raise click.UsageError(msg)
    wav, out = options.wav, options.out
    if wav is not None and out is not None and out.exists() and out.samefile(wav):
        msg = "It is the input file; give another one."
        raise click.BadParameter(msg, param_hint="'--out'")


def _key_for(options: _Options, app: LiveApp) -> str:
    """Return the key to connect with, or the one of the app's own session."""
    if options.scenario is not None:
        return _NO_KEY
    own = {} if app.session is None else app.session.config
    if "api_key" in own:
        own_key = own["api_key"]
        revealed = own_key() if isinstance(own_key, Secret) else own_key
        return revealed if isinstance(revealed, str) else _NO_KEY
    url = options.url or own.get("url")
    name = Service.of(url, options.model).key_name
    key = os.environ.get(name, "").strip()
    if key:
        return key
    if url is not None and _is_loopback(url):
        return _NO_KEY
    msg = f"There is no key: set {name}. Without one, try the simulator: eventbus run --sim"
    raise NoConnection(msg)


def _is_loopback(url: str) -> bool:
    try:
        host = urllib.parse.urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Show:
    """
    Shows a session's events on stdout, as captions or as JSON.

    Args:
        output: Standard output.
        is_json: Whether as JSON.

    Attributes:
        clock: The duration of the call.
    """

    def __init__(self, output: Output, *, is_json: bool) -> None:
        self._output = output
        self._is_json = is_json
        self._screen: Screen | None = None
        self._captions: Captions | None = None
        self.clock = CallClock()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Use the screen while this is entered."""
        if self._is_json:
            yield
            return
        if self._output.is_terminal:
            screen: LiveScreen | PlainScreen = LiveScreen(self._output, self.clock, redirects=True)
        else:
            screen = PlainScreen(self._output, self.clock)
        with screen:
            self._screen, self._captions = screen, Captions(screen)
            yield

    @contextlib.contextmanager
    def prompting(self) -> Iterator[None]:
        """Show a prompt while this is entered, where somebody types."""
        if isinstance(self._screen, LiveScreen):
            with self._screen.prompting("you> "):
                yield
            return
        if sys.stdin.isatty():
            click.echo("you> ", nl=False, err=True)
        yield

    def show(self, event: object) -> None:
        """Show *event*."""
        if self._captions is not None:
            self._captions.show(event)
        elif not isinstance(event, _LEFT_OUT):
            with contextlib.suppress(CodecError):  # an event of the app's own, unknown to the codec
                self._output.json_line(dumps(event))
        self._output.flush()

    def show_sent(self, text: str) -> None:
        """Show a message that was sent."""
        if self._screen is not None:
            self._screen.line("caller", text)
            self._output.flush()


class _Run:
    """
    A live session and all that belongs to it; `run` runs it, once.

    Args:
        options: The options of the command.
        output: Where events are shown.

    Attributes:
        key: The service's key.
        failure: The reason that there is no connection, or the error that has ended it.
    """

    def __init__(self, options: _Options, output: Output) -> None:
        self._options = options
        self._show = _Show(output, is_json=options.is_json)
        self._app = _load(options)
        self.key = _key_for(options, self._app)
        self._observer = SummaryObserver(self._app.bus, on_crash=report_crash, on_event=self._note)
        self._simulator = _simulator(options.scenario)
        is_text = bool(options.texts or options.is_typed)
        self._activity = Activity(_SETTLED_TYPING) if is_text else Activity()
        self._call: LiveCall | None = None
        self._journal: JournalRecorder | None = None
        self._inspection: Inspection | None = None
        self._is_prompting = False
        self._output_error: OSError | None = None
        self.failure: RealtimeConnectionError | None = None

    def run(self) -> Summary:
        """
        Talk until it is over or Ctrl-C, and return the summary.

        Raises:
            OSError: The WAV file can't be written.
        """
        was_interrupted = False
        with contextlib.ExitStack() as files:
            wav, out = self._options.wav, self._options.out
            reader = files.enter_context(open_reader(wav)) if wav is not None else None
            writer = files.enter_context(open_writer(out)) if out is not None else None
            self._journal = files.enter_context(recorded(self._app.bus, self._options.recording))
            is_wanted = self._options.is_inspected
            self._inspection = files.enter_context(
                inspected(self._app.bus, "eventbus run", is_wanted=is_wanted)
            )
            with self._observer.observing(), self._show.shown():
                try:
                    run_loop(self._talk, reader, writer)
                except KeyboardInterrupt:
                    was_interrupted = True
                except RealtimeConnectionError as exc:
                    self.failure = exc
                except ExceptionGroup:
                    # A strict bus raises at its end what its handlers have raised: that is
                    # recorded.
                    if not self._observer.crashed:
                        raise
        if self._output_error is not None:
            raise self._output_error
        if self.failure is None and self._activity.has_ended:
            self.failure = self._activity.failure
        return self._observer.summary(was_interrupted=was_interrupted)

    @property
    def has_lost_records(self) -> bool:
        """True if there is a journal, and records are missing in it."""
        return self._journal is not None and self._journal.failure is not None

    @property
    def was_connected(self) -> bool:
        """True if there has been a connection."""
        return self._activity.was_connected

    async def _talk(self, reader: WavReader | None, writer: WavWriter | None) -> None:
        self._show.clock.start()
        async with contextlib.AsyncExitStack() as stack:
            url = self._options.url
            if self._simulator is not None:
                simulator = await stack.enter_async_context(self._simulator)
                url = simulator.live_url if self._is_live else simulator.url
            call = self._call = self._new_call(url)
            if self._journal is not None:
                stack.enter_context(self._journal.listen(call.session.model))
            if self._inspection is not None:
                self._inspection.listen(call.session.model)
            devices = stack.enter_context(contextlib.ExitStack())
            talk, is_speech = self._open_input(call, reader, devices)
            write = self._open_output(call, writer, devices, is_quiet=not is_speech)
            is_paced = is_speech or writer is not None
            await call.run(talk, write, is_paced=is_paced)

    def _open_input(
        self, call: LiveCall, reader: WavReader | None, devices: contextlib.ExitStack
    ) -> tuple[Callable[[], Awaitable[None]], bool]:
        """Return the function that sends the user's side, and whether that is speech."""
        if reader is not None:
            pieces = call.with_silence(reader.pieces(PIECE_MS))
            return lambda: call.speak(pieces), True
        if self._options.texts:
            return lambda: call.write(self._given_texts()), False
        if not self._options.is_typed:
            try:
                microphone = open_microphone(devices)
            except click.ClickException as exc:
                if not sys.stdin.isatty():
                    msg = f"{exc.message} Without one: --say TEXT, --text or --wav FILE."
                    raise (
                        BadInput(msg) if isinstance(exc, BadInput) else click.ClickException(msg)
                    ) from exc
                click.echo(f"{_TYPE_HINT} ({exc.message})", err=True)
            else:
                return lambda: call.speak(microphone), True
        return lambda: call.write(self._typed_texts()), False

    async def _given_texts(self) -> AsyncIterator[str]:
        for text in self._options.texts:
            self._show.show_sent(text)
            yield text

    async def _typed_texts(self) -> AsyncIterator[str]:
        async for text in typed_lines(self._prompting):
            if not sys.stdin.isatty():  # else the terminal has shown it
                self._show.show_sent(text)
            yield text

    @contextlib.contextmanager
    def _prompting(self) -> Iterator[None]:
        self._is_prompting = True
        try:
            with self._show.prompting():
                yield
        finally:
            self._is_prompting = False

    def _open_output(
        self,
        call: LiveCall,
        writer: WavWriter | None,
        devices: contextlib.ExitStack,
        *,
        is_quiet: bool,
    ) -> Write | None:
        """Return the function that writes the speech down; None if the loudspeaker plays it."""
        if writer is not None:
            return functools.partial(self._write, writer.write)
        try:
            open_loudspeaker(call, devices)
        except click.ClickException as exc:
            if not is_quiet:
                text = f"The speech is not played; --out FILE keeps it. {exc.message}"
                click.echo(text, err=True)
            return _to_nobody
        return None

    def _new_call(self, url: str | None) -> LiveCall:
        session = self._app.session or self._new_session()
        tracker = session.config.get("playback_tracker") or RealtimePlaybackTracker()
        change: RealtimeModelConfig = {"playback_tracker": tracker}
        if url is not None:
            change["url"] = url
        if self._simulator is not None or "api_key" not in session.config:
            change["api_key"] = self.key
        session.update_config(change)
        queue = PlayoutQueue()
        ear = Ear(queue, session.config.get("initial_model_settings", {}))
        session.model.add_listener(ear)
        return LiveCall(session, self._activity, queue, ear, tracker, self._options.max_seconds)

    @property
    def _is_live(self) -> bool:
        """True if the session speaks GPT-Live."""
        session = self._app.session
        return self._service.is_live if session is None else isinstance(session.model, GPTLiveModel)

    @property
    def _service(self) -> Service:
        return Service.of(self._options.url, self._options.model)

    def _new_session(self) -> RealtimeSession:
        service, options = self._service, self._options
        settings = service.settings(options.model, options.instructions, options.voice)
        return RealtimeSession(
            service.new_model(),
            self._app.bus,
            tools=self._app.tools,
            config={"initial_model_settings": settings},
        )

    def _note(self, event: object, _sender: object) -> None:
        """Note an event on the bus, before any handler."""
        self._activity.note(event)
        self._show.show(event)
        if self._is_prompting and self._activity.has_ended and self._call is not None:
            self._call.stop()  # else it would end when the next line was typed

    def _write(self, write: Callable[[bytes], object], data: bytes) -> None:
        """Write to the WAV file; if that fails, the session is over."""
        if self._output_error is not None:
            return
        try:
            write(data)
        except OSError as exc:  # the disk is full
            self._output_error = exc
            if self._call is not None:
                self._call.stop()


def _to_nobody(_data: bytes) -> None:
    """Write nothing."""


def _simulator(scenario: str | None) -> Any:
    """Return the simulator that is asked for; it doesn't run yet."""
    if scenario is None:
        return None
    module = load("eventbus.simulator", "eventbus run --sim", ("openai", "sim"))
    try:
        return module.Simulator(scenario or None, record=False)
    except ScenarioError as exc:
        raise BadInput(str(exc)) from exc


def _load(options: _Options) -> LiveApp:
    if options.app_spec is None:
        return LiveApp(EventBus())
    try:
        app = load_live_app(options.app_spec)
    except click.BadParameter as exc:
        exc.param_hint = "'--app'"
        raise
    given = {
        "--model": options.model,
        "--instructions": options.instructions,
        "--voice": options.voice,
    }
    names = [name for name, value in given.items() if value is not None]
    if app.session is not None and names:
        msg = (
            f"{' and '.join(names)} can't be given with {options.app_spec}, which makes the "
            f"session with settings of its own; change them there."
        )
        raise click.UsageError(msg)
    return app


def _failure(error: Exception, key: str) -> click.ClickException:
    """Return the end of the command for *error*, without the key, which a service may quote."""
    return NoConnection(str(error) if key == _NO_KEY else str(error).replace(key, "<key>"))
