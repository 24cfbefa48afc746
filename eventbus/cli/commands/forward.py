"""
``eventbus forward``: the events of a journal, into a NATS stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anyio
import click

from ...bridges.nats import ForwardStats, NatsBridge
from ...events import RealtimeModelAudioEvent
from ...exceptions import BridgeError, JournalError
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, ExitCode, NoConnection, unreadable
from ..terminal.journals import journal_argument

_EPILOG: Final = """\b
Exit codes:
    0  the stream has all events of the journal
    1  some could not be forwarded
    2  wrong arguments
    3  a journal that can't be read
    4  no connection, or a stream that doesn't fit
  130  interrupted
"""


@click.command("forward", epilog=_EPILOG, short_help="Forward a journal to other processes.")
@journal_argument()
@click.option(
    "--to",
    "url",
    metavar="URL",
    default="nats://127.0.0.1:4222",
    show_default=True,
    help="The NATS server.",
)
@click.option(
    "--stream", metavar="NAME", default="calls", show_default=True, help="The stream's name."
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Partitions of the stream; those that it has, or 64.",
)
@click.option(
    "--creds",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A credentials file of NATS.",
)
@click.option("--audio", "has_audio", is_flag=True, help="Forward the model's audio, too.")
@click.option("--follow", "is_followed", is_flag=True, help="Wait for more until it is closed.")
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
    """
    Store the events of JOURNAL in a NATS JetStream stream, from the last one that it has on.

    The journal may be being written, or be that of a process that was killed. Events that the
    stream has already are not stored again.
    """
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
        anyio.run(forward)
    except KeyboardInterrupt:
        was_interrupted = True
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
    except BridgeError as exc:
        raise NoConnection(str(exc)) from exc
    except OSError as exc:
        raise unreadable(journal, exc) from exc
    stats = forwarded[0] if forwarded else None
    if stats is not None:
        click.echo(_summary(stats, stream), err=True)
    if was_interrupted:
        ctx.exit(ExitCode.INTERRUPTED)
    if stats is not None and stats.refused:
        ctx.exit(ExitCode.NO)


def _summary(stats: ForwardStats, stream: str) -> str:
    text = f"{stats.stored} events are in the stream {printable(stream)}"
    if stats.duplicates:
        text += f", {stats.duplicates} of them were there already"
    if stats.refused:
        text += (
            f"; {stats.refused} could not be forwarded: they were not recorded, or are too large"
        )
    return f"{text}."
