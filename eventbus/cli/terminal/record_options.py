"""
The journal of a live session, beside whatever else a command does with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from ...bus import EventBus
from ...journal._recorder import Recorder
from ...journal._segments import segment_paths
from .escaping import printable
from .options import withholding_options

__all__ = ["Recording", "read_recording", "record_options", "recorded"]

_F = TypeVar("_F", bound=Callable[..., Any])


@attrs.frozen
class Recording:
    """
    A journal that is asked for.

    Attributes:
        path: Where to.
        audio, content, redact: What is written, as `Recorder` takes it.
    """

    path: Path
    audio: bool = True
    content: bool = True
    redact: tuple[str, ...] = ()


def record_options(function: _F) -> _F:
    """
    Add ``--record``, as *journal*, and what the journal is to lack.

    `read_recording` takes what they give.
    """
    return click.option(
        "--record",
        "journal",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="JOURNAL",
        callback=_check_free,
        help="Write everything to a journal, for eventbus stats, show and replay: what was said, "
        "sent and received, and each call of a handler.",
    )(withholding_options(function))


def _check_free(_ctx: click.Context, _param: click.Parameter, journal: Path | None) -> Path | None:
    if journal is not None and segment_paths(journal):
        msg = f"{journal} is there already; name another file."
        raise click.BadParameter(printable(msg))
    return journal


def read_recording(
    journal: Path | None, *, no_audio: bool, no_content: bool, fields: tuple[str, ...]
) -> Recording | None:
    """
    Return the journal that the command line asks for.

    Raises:
        click.UsageError: There is none to leave anything out of.
    """
    if journal is not None:
        return Recording(journal, not no_audio, not no_content, fields)
    given = {"--no-audio": no_audio, "--no-content": no_content, "--redact": bool(fields)}
    names = [name for name, is_given in given.items() if is_given]
    if names:
        needs = "needs" if len(names) == 1 else "need"
        msg = f"{' and '.join(names)} {needs} --record JOURNAL, the journal to leave that out of."
        raise click.UsageError(msg)
    return None


@contextlib.contextmanager
def recorded(
    bus: EventBus,
    recording: Recording | None,
) -> Iterator[Recorder | None]:
    """
    Record what happens on *bus*, if that is asked for; say on stderr how much it was.

    Args:
        bus: The bus.
        recording: The journal, and what it is to lack; None for no journal.

    Raises:
        JournalWriteError: The journal can't be created.
    """
    if recording is None:
        yield None
        return
    recorder = Recorder(
        recording.path,
        audio=recording.audio,
        content=recording.content,
        redact=recording.redact,
    )
    try:
        with recorder, recorder.attach(bus):
            yield recorder
    finally:
        if recorder.failure is not None:
            click.echo(printable(f"some records were lost: {recorder.failure}"), err=True)
        click.echo(printable(f"{recording.path}: {recorder.last_seq} records"), err=True)
