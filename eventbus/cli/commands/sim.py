"""
``eventbus sim``: the simulator, for clients in any language.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import click

from ...exceptions import RealtimeConnectionError, ScenarioError
from ...simulator import Fault, Simulator
from ...simulator.faults import parse_faults
from ...simulator.scenario import scenario_names
from ..terminal.addresses import address_json, trust_line
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, ExitCode, NoConnection
from ..terminal.listening import listening_options, tls_of
from ..terminal.options import read_speed

_SERVER_LOG: Final = "eventbus.simulator._server.server"


class _ConnectionLines(logging.Handler):
    """Writes the server's log of its connections to stderr, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        facts = vars(record)
        line = record.getMessage()
        if "connection" in facts:
            line = f"#{facts['connection']} {line}"
        known = ("model", "status", "code", "close_code", "responses")
        told = [f"{name}={facts[name]}" for name in known if facts.get(name) is not None]
        click.echo(printable(f"{line} {' '.join(told)}".rstrip()), err=True)


def _read_faults(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[Fault, ...]:
    try:
        return parse_faults(texts)
    except ScenarioError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.command(
    "sim",
    short_help="Simulate a realtime service, for clients to try.",
    epilog=f"Scenarios that ship: {', '.join(scenario_names())}.",
)
@click.argument("scenario", default="default")
@listening_options(8765)
@click.option(
    "--speed",
    default="1x",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="The speed of its time, as a factor of real time; max waits for nothing.",
)
@click.option("--seed", type=int, help="For other ids, sounds and waits than the scenario's.")
@click.option(
    "--faults",
    multiple=True,
    metavar="FAULT@WHEN,…",
    callback=_read_faults,
    help="Faults to simulate, like drop@2 or stall=3s@every.",
)
@click.option("--api-key", metavar="KEY", help="The only key to accept; without it, any.")
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the frames of both directions to this file, as lines of JSON: a file of frames, "
    "for eventbus record.",
)
@click.option("--json", "is_json", is_flag=True, help="Print its address as a JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    scenario: str,
    host: str,
    port: int,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    certificate: tuple[Path, Path] | None,
    is_tls: bool,
    speed: float,
    seed: int | None,
    faults: tuple[Fault, ...],
    api_key: str | None,
    log: Path | None,
    is_json: bool,
) -> None:
    """
    Speak OpenAI's protocols to any client, on this machine, until Ctrl-C.

    Realtime is at /v1/realtime and GPT-Live at /v1/live/sessions, with the same scenario.

    The model's words come from SCENARIO: the name of one that ships, a YAML or Python file,
    or module:attribute. Its speech is synthetic. Set OPENAI_BASE_URL to the printed address.
    """
    try:
        simulator = Simulator(
            scenario,
            host=host,
            port=port,
            allow_origin=allow_origin,
            allow_host=allow_host,
            tls=tls_of(certificate, is_tls=is_tls),
            log=log,
            speed=speed,
            seed=seed,
            faults=faults,
            api_key=api_key,
            record=False,
        )
    except ScenarioError as exc:
        raise BadInput(str(exc)) from exc
    logger = logging.getLogger(_SERVER_LOG)
    lines = _ConnectionLines()
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(_serve(simulator, is_json=is_json))
    except RealtimeConnectionError as exc:
        raise NoConnection(str(exc)) from exc
    except KeyboardInterrupt:
        ctx.exit(ExitCode.INTERRUPTED)
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


async def _serve(simulator: Simulator, *, is_json: bool) -> None:
    """Serve until the task is cancelled, as Ctrl-C does."""
    async with simulator:
        name, url, base_url = simulator.scenario.name, simulator.url, simulator.base_url
        line = printable(f"The scenario {name} is at {url}: use OPENAI_BASE_URL={base_url}")
        more = {"scenario": name, "live_url": simulator.live_url}
        if simulator.ca_file is not None:
            more["ca_file"] = str(simulator.ca_file)
            line += f"\n{trust_line(simulator.ca_file)}"
        # A program that has started it through a pipe waits for this line.
        click.echo(address_json(url, base_url, **more) if is_json else line)
        await asyncio.Event().wait()
