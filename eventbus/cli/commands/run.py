"""
``eventbus run``: a live session through the user's handlers.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import click

from ...audio._formats import PCM16
from ...audio._playout import PlayoutQueue
from ...audio._wav import WavReader, WavWriter
from ...bus import EventBus
from ...codec import dumps
from ...events import RealtimeModelRawServerEvent
from ...exceptions import CodecError, RealtimeConnectionError, ScenarioError
from ...journal._recorder import Recorder as JournalRecorder
from ...realtime.events import REPEATS, RealtimeHistoryUpdated
from ...realtime.model import RealtimeModelConfig
from ...realtime.openai import DEFAULT_MODEL, OpenAIRealtimeModel
from ...realtime.playback import RealtimePlaybackTracker
from ...realtime.session import RealtimeSession
from ...realtime.settings import RealtimeAudioOutputConfig, RealtimeSessionModelSettings
from ...realtime.tools import Tool
from ...telemetry._summary import Summary, SummaryObserver
from ..activity import Activity
from ..apps import load_live_app
from ..lazy import load
from ..live import CallClock, Ear, LiveCall
from ..sound import open_input, open_output, open_reader, open_writer
from ..terminal.captions import Captions
from ..terminal.console import LiveScreen, Output, PlainScreen
from ..terminal.exits import BadInput, ExitCode, NoConnection, exit_code
from ..terminal.record_options import Recording, read_recording, record_options, recorded
from ..terminal.summary import report_crash, write_summary

__all__ = ["command"]

_EPILOG = """\b
Exit codes:
    0  fine
    1  output that can't be written, or an extra that isn't installed
    2  wrong arguments
    3  what can't be used: the WAV file, the scenario, the microphone
    4  no connection: no key or a wrong one, nobody there, or it broke off
    5  a handler or a tool has crashed
  130  interrupted; 143 by SIGTERM
"""

_KEY: Final = "OPENAI_API_KEY"
_NO_KEY: Final = "none"  # for what runs on this machine, and asks for none
_TRANSCRIBER: Final = "gpt-4o-mini-transcribe"

# What other events say, too; the second has the whole history, with every word that is added.
_LEFT_OUT: Final = (RealtimeModelRawServerEvent, RealtimeHistoryUpdated, *REPEATS)

assert __package__ is not None


@attrs.frozen
class _Options:
    """What was asked for on the command line; see `command`."""

    app_spec: str | None
    url: str | None
    model: str
    scenario: str | None
    wav: Path | None
    out: Path | None
    instructions: str | None
    voice: str | None
    max_seconds: float | None
    recording: Recording | None
    is_json: bool


@click.command("run", epilog=_EPILOG, short_help="Talk to a model through your handlers.")
@click.option(
    "--app",
    "app_spec",
    metavar="MODULE:NAME",
    help="Publish on this EventBus, or to this listener: an object or a class with handlers that "
    "are marked with @on. MODULE alone is a module with such handlers. The model may call the "
    "tools (eventbus.realtime.tools) at the top of the module. The current directory is "
    "importable.",
)
@click.option(
    "--url", metavar="URL", help="Where the service is, if it isn't OpenAI's: wss://…, or https://…"
)
@click.option(
    "--model", default=DEFAULT_MODEL, metavar="NAME", show_default=True, help="The model."
)
@click.option(
    "--sim",
    "scenario",
    is_flag=False,
    flag_value="",
    metavar="[SCENARIO]",
    help="Talk to a simulator instead, which needs no key: to one that answers anything, or one "
    "with this scenario, as for eventbus sim.",
)
@click.option(
    "--wav",
    type=click.Path(path_type=Path),
    metavar="IN.wav",
    help="What is said, instead of the microphone: 16-bit PCM of any rate. The session is over "
    "when the last answer to it has been heard.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="OUT.wav",
    help="Where what is heard goes, instead of the loudspeaker; without the pieces that an "
    "interruption has cut off.",
)
@click.option("--instructions", metavar="TEXT", help="What the model is told to do.")
@click.option("--voice", metavar="NAME", help="The model's voice.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="End the session after so long.",
)
@record_options
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Write JSON, one object a line: each event, as eventbus.codec writes it, and at the end "
    '{"summary": …}. What the app prints goes to stderr.',
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    journal: Path | None,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    **given: Any,
) -> None:
    """
    Talk to a model: the microphone or a WAV file in, the loudspeaker or a WAV file out.

    The key is taken from OPENAI_API_KEY; --sim needs none. Transcripts and tool calls are shown
    as they come. At the end comes a summary: the events by class, the run time of each handler,
    what has crashed and what was dropped.

    A session with the microphone lasts until Ctrl-C.
    """
    recording = read_recording(journal, no_audio=no_audio, no_content=no_content, fields=fields)
    options = _Options(recording=recording, **given)
    _check(options)
    output = Output()
    key = _key_for(options)
    # What the app prints is its own, and no JSON.
    with contextlib.redirect_stdout(sys.stderr) if options.is_json else contextlib.nullcontext():
        run = _Run(options, key, output)
        summary = run.run()
    if run.was_connected or run.failure is None:
        write_summary(output, summary, is_json=options.is_json)
    if run.failure is not None and not summary.was_interrupted:
        raise _failure(run.failure, key)
    ctx.exit(exit_code(summary) or (ExitCode.NO_OUTPUT if run.has_lost_records else ExitCode.OK))


def _check(options: _Options) -> None:
    if options.scenario is not None and options.url is not None:
        msg = "--sim and --url can't both be given: the simulator is one of its own."
        raise click.UsageError(msg)
    wav, out = options.wav, options.out
    if wav is not None and out is not None and out.exists() and out.samefile(wav):
        msg = "It is the file that is read; give another one."
        raise click.BadParameter(msg, param_hint="'--out'")


def _key_for(options: _Options) -> str:
    if options.scenario is not None:
        return _NO_KEY
    key = os.environ.get(_KEY, "").strip()
    if key:
        return key
    if options.url is not None and _is_loopback(options.url):
        return _NO_KEY
    msg = f"There is no key: set {_KEY}. Without one, try the simulator: eventbus run --sim"
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
        output: Where they go.
        is_json: Whether as JSON.

    Attributes:
        clock: Tells what time it is in the call.
    """

    def __init__(self, output: Output, *, is_json: bool) -> None:
        self._output = output
        self._is_json = is_json
        self._captions: Captions | None = None
        self.clock = CallClock()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Have the screen, while this is entered."""
        if self._is_json:
            yield
            return
        if self._output.is_terminal:
            with LiveScreen(self._output, self.clock, redirects=True) as screen:
                self._captions = Captions(screen)
                yield
        else:
            self._captions = Captions(PlainScreen(self._output, self.clock))
            yield

    def show(self, event: object) -> None:
        """
        Show *event*.

        Raises:
            OSError: It can't be written.
        """
        if self._captions is not None:
            self._captions.show(event)
        elif not isinstance(event, _LEFT_OUT):
            with contextlib.suppress(CodecError):  # an event of the app's own, unknown to the codec
                self._output.json_line(dumps(event))
        self._output.flush()


class _Run:
    """
    A live session and all that belongs to it; `run` runs it, once.

    Args:
        options: What was asked for.
        key: The service's key.
        output: Where events are shown.

    Attributes:
        failure: Why there is no connection, or why it has ended, if that was no good end.
        was_connected: Whether there has been one.
    """

    def __init__(self, options: _Options, key: str, output: Output) -> None:
        self._options = options
        self._key = key
        self._show = _Show(output, is_json=options.is_json)
        self._bus, self._tools = _load(options.app_spec)
        self._observer = SummaryObserver(self._bus, on_crash=report_crash, on_event=self._note)
        self._simulator = _simulator(options.scenario)
        self._activity = Activity()
        self._call: LiveCall | None = None
        self._journal: JournalRecorder | None = None
        self._output_error: OSError | None = None
        self.failure: RealtimeConnectionError | None = None

    def run(self) -> Summary:
        """
        Talk until it is over or Ctrl-C, and return what has happened.

        Raises:
            OSError: What was said or heard can't be written.
        """
        was_interrupted = False
        with contextlib.ExitStack() as files:
            wav, out = self._options.wav, self._options.out
            reader = files.enter_context(open_reader(wav)) if wav is not None else None
            writer = files.enter_context(open_writer(out)) if out is not None else None
            self._journal = files.enter_context(recorded(self._bus, self._options.recording))
            with self._observer.observing(), self._show.shown():
                try:
                    anyio.run(self._talk, reader, writer)
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
        """Whether there is a journal, and it lacks some of what has happened."""
        return self._journal is not None and self._journal.failure is not None

    @property
    def was_connected(self) -> bool:
        """Whether there has been a connection."""
        return self._activity.was_connected

    async def _talk(self, reader: WavReader | None, writer: WavWriter | None) -> None:
        self._show.clock.start()
        async with contextlib.AsyncExitStack() as stack:
            url = self._options.url
            if self._simulator is not None:
                url = (await stack.enter_async_context(self._simulator)).url
            call = self._call = self._new_call(url)
            if self._journal is not None:
                stack.enter_context(self._journal.listen(call.session.model))
            devices = stack.enter_context(contextlib.ExitStack())
            said = open_input(call, reader, devices)
            write = open_output(call, writer, devices, is_needed=reader is None)
            await call.run(said, write and functools.partial(self._write, write))

    def _new_call(self, url: str | None) -> LiveCall:
        queue, tracker = PlayoutQueue(), RealtimePlaybackTracker()
        model = OpenAIRealtimeModel()
        model.add_listener(Ear(queue))
        config: RealtimeModelConfig = {
            "api_key": self._key,
            "initial_model_settings": _settings(self._options),
            "playback_tracker": tracker,
        }
        if url is not None:
            config["url"] = url
        session = RealtimeSession(model, self._bus, tools=self._tools, config=config)
        return LiveCall(
            self._bus, session, self._activity, queue, tracker, self._options.max_seconds
        )

    def _note(self, event: object, _sender: object) -> None:
        """Take note of an event on the bus, before any handler."""
        self._activity.note(event)
        self._write(self._show.show, event)

    def _write(self, write: Callable[[Any], object], data: Any) -> None:
        """Write something; if that can't be done, it is over."""
        if self._output_error is not None:
            return
        try:
            write(data)
        except OSError as exc:  # nobody reads it any more, or the disk is full
            self._output_error = exc
            if self._call is not None:
                self._call.stop()


def _settings(options: _Options) -> RealtimeSessionModelSettings:
    speech: RealtimeAudioOutputConfig = {"format": PCM16}
    if options.voice is not None:
        speech["voice"] = options.voice
    settings: RealtimeSessionModelSettings = {
        "model_name": options.model,
        "audio": {
            "input": {"format": PCM16, "transcription": {"model": _TRANSCRIBER}},
            "output": speech,
        },
    }
    if options.instructions is not None:
        settings["instructions"] = options.instructions
    return settings


def _simulator(scenario: str | None) -> Any:
    """Return a simulator that doesn't run yet, if one is asked for."""
    if scenario is None:
        return None
    module = load("eventbus.simulator", "eventbus run --sim", ("openai", "sim"))
    try:
        return module.Simulator(scenario or None, record=False)
    except ScenarioError as exc:
        raise BadInput(str(exc)) from exc


def _load(spec: str | None) -> tuple[EventBus, Sequence[Tool]]:
    if spec is None:
        return EventBus(), ()
    try:
        return load_live_app(spec)
    except click.BadParameter as exc:
        exc.param_hint = "'--app'"
        raise


def _failure(error: Exception, key: str) -> click.ClickException:
    """Return what ends the command for *error*; a service may quote the key in what it says."""
    return NoConnection(str(error) if key == _NO_KEY else str(error).replace(key, "<key>"))
