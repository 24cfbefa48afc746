"""
``eventbus sim``: the simulator, for clients in any language.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ...bus import EventBus, Inspection
from ...exceptions import RealtimeConnectionError, ScenarioError
from ...simulator import Fault, Simulator
from ...simulator._drift.client import check
from ...simulator.faults import parse_faults
from ...wire.openai import GPTLiveDecoder, OpenAIRealtimeDecoder
from ..inspecting import inspected
from ..terminal.addresses import address_json, trust_line
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, ExitCode, NoConnection, unwritable
from ..terminal.listening import tls_of
from ..waking import run_loop

_SERVER_LOG: Final = "eventbus.simulator._server"


class _ConnectionLines(logging.Handler):
    """Writes the server's log of its connections to stderr, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        facts = vars(record)
        line = record.getMessage()
        if "connection" in facts:
            line = f"#{facts['connection']} {line}"
        known = ("model", "status", "code", "close_code", "responses", "reason")
        told = [f"{name}={facts[name]}" for name in known if facts.get(name) is not None]
        click.echo(printable(f"{line} {' '.join(told)}".rstrip()), err=True)


class _Shown:
    """
    Publishes the frames of all clients on a bus, as a client would, for the inspector.

    Args:
        bus: The bus; the events of a connection have its name as their sender.
    """

    def __init__(self, bus: EventBus) -> None:
        self.inspection: Inspection | None = None
        self._bus = bus
        self._decoders: dict[int, GPTLiveDecoder | OpenAIRealtimeDecoder] = {}

    def __call__(self, number: int, direction: str, frame: str | bytes) -> None:
        """Take a frame of a connection."""
        sender = f"connection-{number}"
        if direction == "sent":
            if self.inspection is not None:
                self.inspection.sent(_message(frame), sender)
            return
        data = frame.encode() if isinstance(frame, str) else frame
        decoder = self._decoders.get(number)
        if decoder is None:
            is_live = b'"session.started"' in data
            decoder = self._decoders[number] = (
                GPTLiveDecoder() if is_live else OpenAIRealtimeDecoder()
            )
        decoder.publish_to(self._bus, data, sender=sender)


def _message(frame: str | bytes) -> Mapping[str, Any] | str | bytes:
    """Return a client's message as its model would have sent it, if it is a JSON object."""
    try:
        message = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        return frame
    return message if isinstance(message, dict) else frame


def _read_faults(texts: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return parse_faults(texts)
    except ScenarioError as exc:
        raise click.BadParameter(str(exc), param_hint="'--faults'") from exc


@click.pass_context
def command(
    ctx: click.Context,
    scenario: str,
    host: str,
    port: int,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    allow_model: tuple[str, ...],
    certificate: tuple[Path, Path] | None,
    is_tls: bool,
    speed: float,
    seed: int | None,
    faults: tuple[str, ...],
    api_key: str | None,
    log: Path | None,
    check_url: str | None,
    model: str,
    is_inspected: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.sim``."""
    if check_url is not None:
        key = api_key or os.environ.get("OPENAI_API_KEY") or None
        ctx.exit(_check(check_url, key, model, is_json=is_json))
    bus = EventBus()
    show = _Shown(bus)
    try:
        simulator = Simulator(
            scenario,
            host=host,
            port=port,
            allow_origin=allow_origin,
            allow_host=allow_host,
            allow_model=allow_model,
            tls=tls_of(certificate, is_tls=is_tls),
            log=log,
            speed=speed,
            seed=seed,
            faults=_read_faults(faults),
            api_key=api_key,
            record=False,
            on_frame=show if is_inspected else None,
        )
    except ScenarioError as exc:
        raise BadInput(str(exc)) from exc
    logger = logging.getLogger(_SERVER_LOG)
    lines = _ConnectionLines()
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        with inspected(bus, "eventbus sim", is_wanted=is_inspected, waits=False) as inspection:
            show.inspection = inspection
            run_loop(lambda: _serve(simulator, bus, is_json=is_json))
    except RealtimeConnectionError as exc:
        raise NoConnection(str(exc)) from exc
    except OSError as exc:
        if log is None or exc.filename != str(log):
            raise
        raise unwritable(log, exc) from exc
    except KeyboardInterrupt:
        ctx.exit(ExitCode.INTERRUPTED)
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


def _check(url: str, api_key: str | None, model: str, *, is_json: bool) -> ExitCode:
    """Print the differences between a service and the simulator; return the exit code."""

    async def run() -> int:
        count = 0
        async for checked in check(url, api_key, model=model):
            texts = [difference.text for difference in checked.differences]
            count += len(texts)
            if is_json:
                line = msgspec.json.encode({"probe": checked.probe, "differences": texts})
                click.echo(line.decode())
                continue
            click.echo(f"{checked.probe}: {'as the simulator' if not texts else len(texts)}")
            for text in texts:
                click.echo(printable(f"    {text}"))
        return count

    try:
        count = run_loop(run)
    except ValueError as exc:
        raise BadInput(str(exc)) from exc
    except RealtimeConnectionError as exc:
        raise NoConnection(str(exc)) from exc
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    if not is_json:
        click.echo(f"{count} differences" if count else "No difference.")
    return ExitCode.NO if count else ExitCode.OK


async def _serve(simulator: Simulator, bus: EventBus, *, is_json: bool) -> None:
    """Serve until the task is cancelled, as Ctrl-C does."""
    async with bus, simulator:
        name, url, base_url = simulator.scenario.name, simulator.url, simulator.base_url
        line = printable(f"The scenario {name} is at {url}: use OPENAI_BASE_URL={base_url}")
        more = {"scenario": name, "live_url": simulator.live_url}
        if simulator.ca_file is not None:
            more["ca_file"] = str(simulator.ca_file)
            line += f"\n{trust_line(simulator.ca_file)}"
        # A program that has started it through a pipe waits for this line.
        click.echo(address_json(url, base_url, **more) if is_json else line)
        await asyncio.Event().wait()
