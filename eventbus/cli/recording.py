"""
The journal of a live session, beside whatever else a command does with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from ..bus import EventBus
from ..journal.recorder import Recorder
from ..journal.segments import segment_paths
from .escaping import printable

__all__ = ["record_option", "recorded"]

_F = TypeVar("_F", bound=Callable[..., Any])


def record_option(function: _F) -> _F:
    """Add the option ``--record``, as *journal*."""
    return click.option(
        "--record",
        "journal",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="JOURNAL",
        callback=_check_free,
        help="Write everything to a journal, for eventbus stats, show and replay: what was said, "
        "sent and received, and each call of a handler.",
    )(function)


def _check_free(_ctx: click.Context, _param: click.Parameter, journal: Path | None) -> Path | None:
    if journal is not None and segment_paths(journal):
        msg = f"{journal} is there already; name another file."
        raise click.BadParameter(printable(msg))
    return journal


@contextlib.contextmanager
def recorded(
    bus: EventBus, journal: Path | None, *, without: Collection[Callable[..., object]] = ()
) -> Iterator[Recorder | None]:
    """
    Record what happens on *bus*, if a *journal* is asked for; say on stderr how much it was.

    Args:
        bus: The bus.
        journal: Where to.
        without: Handlers that are the command's own, and left out.

    Raises:
        JournalWriteError: The journal can't be created.
    """
    if journal is None:
        yield None
        return
    recorder = Recorder(journal)
    try:
        with recorder, recorder.attach(bus, without=without):
            yield recorder
    finally:
        if recorder.failure is not None:
            click.echo(printable(f"some records were lost: {recorder.failure}"), err=True)
        click.echo(printable(f"{journal}: {recorder.last_seq} records"), err=True)
