"""
``eventbus forward``: the events of a journal, into a NATS stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...bridges.nats import ForwardStats, NatsBridge
from ...events import RealtimeModelAudioEvent
from ...exceptions import BridgeError, JournalError, OptionError
from ...journal import open_journal
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, ExitCode, NoConnection, unreadable
from ..waking import run_loop


@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    *,
    url: str,
    stream: str,
    partitions: int | None,
    creds: Path | None,
    has_audio: bool,
    is_followed: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.forward``."""
    options: dict[str, Any] = {} if creds is None else {"user_credentials": str(creds)}
    forwarded: list[ForwardStats] = []
    was_interrupted = False

    async def forward() -> None:
        bridge = NatsBridge(url, stream=stream, partitions=partitions, **options)
        async with bridge:
            without = () if has_audio else (RealtimeModelAudioEvent,)
            forwarding = bridge.forward_journal(journal, follow=is_followed, without=without)
            try:
                await forwarding.wait_done()
            finally:
                forwarded.append(forwarding.stats)

    try:
        open_journal(journal, on_damage=lambda _: None)  # before the server is asked for
        run_loop(forward)
    except KeyboardInterrupt:
        was_interrupted = True
    except OptionError as exc:
        raise click.UsageError(printable(str(exc))) from exc
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
    except BridgeError as exc:
        raise NoConnection(str(exc)) from exc
    except OSError as exc:
        raise unreadable(journal, exc) from exc
    stats = forwarded[0] if forwarded else None
    if stats is not None:
        click.echo(_summary(stats, stream, is_whole=not was_interrupted), err=True)
    if was_interrupted:
        ctx.exit(ExitCode.INTERRUPTED)
    if stats is not None and stats.refused:
        ctx.exit(ExitCode.NO)


def _summary(stats: ForwardStats, stream: str, *, is_whole: bool) -> str:
    text = f"{stats.stored} events were forwarded to the stream {printable(stream)}"
    if is_whole and not stats.stored and not stats.refused:
        text += ", which has them all"
    if stats.duplicates:
        text += f", {stats.duplicates} of them were there already"
    if stats.refused:
        text += (
            f"; {stats.refused} could not be forwarded: they were not recorded, or are too large"
        )
    return f"{text}."
