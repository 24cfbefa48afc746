"""
The option ``--record`` of commands with live sessions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from ...bus import EventBus
from ...journal._recorder import Recorder
from .escaping import printable
from .outputs import journals_at


@attrs.frozen
class Recording:
    """
    The journal to write.

    Attributes:
        path: The file.
        audio, content, redact, overwrite: As in `Recorder`.
    """

    path: Path
    audio: bool = True
    content: bool = True
    redact: tuple[str, ...] = ()
    overwrite: bool = False


def read_recording(
    journal: Path | None,
    *,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    is_forced: bool = False,
) -> Recording | None:
    """
    Return the journal that the command line asks for.

    Raises:
        click.UsageError: There is no journal to leave anything out of, or to replace.
        click.BadParameter: It is there already, and isn't to be replaced.
        click.ClickException: Its folder can't be read.
    """
    if journal is not None:
        if journals_at(journal) and not is_forced:
            msg = f"{journal} is there already; name another file, or add --force."
            raise click.BadParameter(printable(msg), param_hint="'--record'")
        return Recording(journal, not no_audio, not no_content, fields, is_forced)
    given = {
        "--no-audio": no_audio,
        "--no-content": no_content,
        "--redact": bool(fields),
        "--force": is_forced,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names:
        needs = "needs" if len(names) == 1 else "need"
        msg = f"{' and '.join(names)} {needs} --record JOURNAL, the journal that is meant."
        raise click.UsageError(msg)
    return None


@contextlib.contextmanager
def recorded(
    bus: EventBus,
    recording: Recording | None,
) -> Iterator[Recorder | None]:
    """
    Record *bus*, if that is asked for, and print the number of records to stderr.

    Args:
        bus: The bus.
        recording: The journal; None for no journal.

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
        overwrite=recording.overwrite,
    )
    try:
        with recorder, recorder.attach(bus):
            yield recorder
    finally:
        if recorder.failure is not None:
            click.echo(printable(f"some records were lost: {recorder.failure}"), err=True)
        click.echo(printable(f"{recording.path}: {recorder.last_seq} records"), err=True)
