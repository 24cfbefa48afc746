"""
``eventbus proxy``: a proxy between any client and the service, for handlers in Python.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import click

from ...bus import EventBus
from ...codec import dumps
from ...events import (
    RealtimeModelAudioEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelRawServerEvent,
)
from ...exceptions import CodecError, RealtimeConnectionError
from ...realtime.events import RealtimeModelRawClientEvent
from ...realtime.proxy import RealtimeProxy
from ...telemetry._summary import Summary, SummaryObserver
from ...wire._audio_text import APPENDS
from ...wire._names import frame_name
from ..apps import load_app
from ..inspecting import inspected
from ..terminal.addresses import address_json, trust_line
from ..terminal.console import Output
from ..terminal.escaping import printable
from ..terminal.event_lines import event_line
from ..terminal.exits import NoConnection, exit_code
from ..terminal.listening import tls_of
from ..terminal.record_options import read_recording, recorded
from ..terminal.summary import report_crash, write_summary
from ..waking import run_loop

EVENT_SCHEMA: Final = "eventbus.event/1"

_APPENDS: Final = (*APPENDS, "realtimeInput.audio", "realtimeInput.mediaChunks")


@click.pass_context
def command(
    ctx: click.Context,
    upstream: str,
    host: str,
    port: int,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    certificate: tuple[Path, Path] | None,
    is_tls: bool,
    app_spec: str | None,
    journal: Path | None,
    *,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    is_forced: bool,
    is_inspected: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.proxy``."""
    recording = read_recording(
        journal, no_audio=no_audio, no_content=no_content, fields=fields, is_forced=is_forced
    )
    output = Output()
    show = _Show(output, is_json=is_json)
    with contextlib.redirect_stdout(sys.stderr) if is_json else contextlib.nullcontext():
        bus = EventBus() if app_spec is None else _load(app_spec)
        observer = SummaryObserver(
            bus, on_crash=report_crash, on_event=show.show if app_spec is None else None
        )
        try:
            proxy = RealtimeProxy(
                upstream,
                bus,
                host=host,
                port=port,
                allow_origin=allow_origin,
                allow_host=allow_host,
                tls=tls_of(certificate, is_tls=is_tls),
            )
        except ValueError as exc:
            raise click.BadParameter(str(exc), param_hint="'--upstream'") from exc
        with (
            recorded(bus, recording),
            inspected(bus, "eventbus proxy", is_wanted=is_inspected, waits=False),
        ):
            summary = _run(bus, proxy, observer, show)
    write_summary(output, summary, is_json=is_json)
    ctx.exit(exit_code(summary))


def _load(spec: str) -> EventBus:
    try:
        return load_app(spec)
    except click.BadParameter as exc:
        exc.param_hint = "'--app'"
        raise


def _run(bus: EventBus, proxy: RealtimeProxy, observer: SummaryObserver, show: _Show) -> Summary:
    """Serve until Ctrl-C, and return the summary."""

    async def serve() -> None:
        async with bus, proxy:
            show.address(proxy)
            with anyio.CancelScope() as show.scope:
                await anyio.sleep_forever()

    was_interrupted = False
    with observer.observing():
        try:
            run_loop(serve)
        except KeyboardInterrupt:
            was_interrupted = True
        except RealtimeConnectionError as exc:
            raise NoConnection(str(exc)) from exc
        except ExceptionGroup:
            # A strict bus raises at its end what its handlers have raised: that is recorded.
            if not observer.crashed:
                raise
    if show.error is not None:
        raise show.error
    return observer.summary(was_interrupted=was_interrupted)


class _Show:
    """
    Shows the events of the proxy.

    Args:
        output: Where it goes.
        is_json: Whether as JSON.

    Attributes:
        scope: Cancelled when nothing can be shown any more.
        error: Why that is.
    """

    def __init__(self, output: Output, *, is_json: bool) -> None:
        self._output = output
        self._is_json = is_json
        # By connection and side: the item of its last audio, or the type of its last message.
        self._last: dict[tuple[object, str], str] = {}
        self.scope: anyio.CancelScope | None = None
        self.error: OSError | None = None

    def address(self, proxy: RealtimeProxy) -> None:
        """Tell the address for clients."""
        if self._is_json:
            more = {} if proxy.ca_file is None else {"ca_file": str(proxy.ca_file)}
            self._output.json_line(address_json(proxy.url, proxy.base_url, **more))
            self._output.flush()
        else:
            text = f"Clients connect to {proxy.url}, or with OPENAI_BASE_URL={proxy.base_url}"
            click.echo(printable(text), err=True)
            if proxy.ca_file is not None:
                click.echo(trust_line(proxy.ca_file), err=True)

    def show(self, event: Any, sender: object) -> None:
        """Show *event*; its frame is left out, as the event says the same."""
        if isinstance(event, RealtimeModelRawServerEvent) or self.error is not None:
            return
        try:
            if self._is_json:
                self._write_json(event, sender)
            else:
                self._write_line(event, sender)
            self._output.flush()
        except OSError as exc:  # nobody reads it any more, or the disk is full
            self.error = exc
            if self.scope is not None:
                self.scope.cancel()

    def _write_json(self, event: object, sender: object) -> None:
        with contextlib.suppress(CodecError):  # what the app publishes may be unknown to the codec
            head = f'"schema":"{EVENT_SCHEMA}","sender":{json.dumps(sender)}'
            self._output.json_line(f'{{{head},"event":{dumps(event)}}}')

    def _write_line(self, event: Any, sender: object) -> None:
        if self._is_more_audio(event, sender):
            return
        number = int(str(sender).rpartition("-")[2])
        self._output.line(event_line(number, event, self._output.width))

    def _is_more_audio(self, event: object, sender: object) -> bool:
        """Return whether audio like this was the last that was shown of that side."""
        match event:
            case RealtimeModelAudioEvent(item_id=item_id):
                side, what = "service", item_id
            case RealtimeModelRawClientEvent(data=Mapping() as message):
                side, what = "client", frame_name(message) or ""
            case RealtimeModelEndOfStreamEvent():
                self._last.pop((sender, "service"), None)
                self._last.pop((sender, "client"), None)
                return False
            case _:
                return False
        before, self._last[sender, side] = self._last.get((sender, side)), what
        return before == what and (side == "service" or what in _APPENDS)
