"""
Arguments and options that several commands have: declared here, used by the modules beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ..._origins import read_origins

_F = TypeVar("_F", bound=Callable[..., Any])

INPUT: Final = click.Path(readable=False, allow_dash=True, path_type=Path)
"""The type of a path to read; the command itself says why it can't, with exit code 3."""


def read_speed(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """
    Return how fast to replay, for an option of a command: ``1x`` is 1.0, ``max`` is infinite.

    Raises:
        click.BadParameter: *text* is not a valid speed.
    """
    if text == "max":
        return math.inf
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        msg = f"{text!r} is not a valid speed; give a factor like 1x or 0.5x, or max."
        raise click.BadParameter(msg)
    return speed


def withholding_options(function: _F) -> _F:
    """Add the options for leaving parts out of a journal: *no_audio*, *no_content*, *fields*."""
    for option in (
        click.option(
            "--redact",
            "fields",
            metavar="FIELD",
            multiple=True,
            help="Leave a field out of the journal, by its name or the end of its path, like "
            "phone_number or session.instructions. Can be given several times.",
        ),
        click.option(
            "--no-content",
            is_flag=True,
            help="Leave out of the journal what was said and written, and audio; names and ids "
            "stay.",
        ),
        click.option("--no-audio", is_flag=True, help="Leave audio out of the journal."),
    ):
        function = option(function)
    return function


FILTER_HELP: Final = """\b
A filter is terms; a record must match all of them:
    type:audio          event type or class, or a frame's type; * and , work
    sender:call-42      session;  item:…  response:…  handler:…  likewise
    is:error            or crash, event, frame, sent, call, drop, status, gap
    dur:>50ms           how long a handler ran;  queued:…  how long it waited
    t:3s..5s            since the beginning;  seq:…  sequence number
    weather  /f.*e/     text, or a regular expression;  '"see you"'  with blanks
    !type:audio         not
"""


def epilog(*, ok: str = "fine", no: str = "", about: str = FILTER_HELP) -> str:
    """
    Return the end of a command's help: its exit codes, and then more.

    Args:
        ok: The meaning of exit code 0.
        no: The meaning of 1, besides output that can't be written.
        about: The text that follows.
    """
    no = f"{no}, or output that can't be written" if no else "output that can't be written"
    codes = f"""\b
Exit codes:
    0  {ok}
    1  {no}
    2  wrong arguments
    3  a journal or a filter that can't be read
  130  interrupted
"""
    return f"{codes}\n{about}"


def journal_argument(name: str = "journal") -> Callable[[_F], _F]:
    """Return the argument that names a journal."""
    return click.argument(name, type=INPUT, metavar=name.upper())


def filter_argument(function: _F) -> _F:
    """Add the argument that has the terms of a filter, as *terms*."""
    return click.argument("terms", nargs=-1, metavar="[FILTER]…")(function)


def json_option(help_text: str) -> Callable[[_F], _F]:
    """Return the option ``--json``, as *is_json*."""
    return click.option("--json", "is_json", is_flag=True, help=help_text)


def force_option(function: _F) -> _F:
    """Add the option ``--force``, as *is_forced*."""
    return click.option("--force", "is_forced", is_flag=True, help="Overwrite a file.")(function)


def journal_output(function: _F) -> _F:
    """Add the option that names the journal to write, as *to*."""
    return click.option(
        "-o",
        "--output",
        "to",
        type=click.Path(dir_okay=False, readable=False, path_type=Path),
        required=True,
        metavar="JOURNAL",
        help="The journal to write.",
    )(function)


def copying_options(function: _F) -> _F:
    """Add the arguments and options of a copy; `copy_journal` takes them by their names."""
    for option in (
        json_option("Write what was written as a JSON object."),
        force_option,
        journal_output,
        filter_argument,
        journal_argument(),
    ):
        function = option(function)
    return function


def record_options(function: _F) -> _F:
    """
    Add ``--record``, as *journal*, ``--force``, as *is_forced*, and `withholding_options`.

    `read_recording` takes their values.
    """
    for option in (
        withholding_options,
        click.option(
            "--force", "is_forced", is_flag=True, help="Replace a journal that is there already."
        ),
        click.option(
            "--record",
            "journal",
            type=click.Path(dir_okay=False, readable=False, path_type=Path),
            metavar="JOURNAL",
            callback=_with_time,
            help="Write everything to a journal, for eventbus stats, show and replay: what was "
            "said, sent and received, and each call of a handler. {time} in the name becomes the "
            "present time, like 20261129-140503.",
        ),
    ):
        function = option(function)
    return function


def _with_time(_ctx: click.Context, _param: click.Parameter, journal: Path | None) -> Path | None:
    """Return the path with the time of day in the place of ``{time}``."""
    if journal is None:
        return None
    return journal.with_name(journal.name.replace("{time}", time.strftime("%Y%m%d-%H%M%S")))


def frames_argument(function: _F) -> _F:
    """Add the argument that names a file of frames, as *file*; it isn't opened yet."""
    return click.argument("file", type=INPUT)(function)


def inspect_option(function: _F) -> _F:
    """Add ``--inspect``, as *is_inspected*."""
    return click.option(
        "--inspect",
        "is_inspected",
        is_flag=True,
        help="Show the call in a browser, live; the address is printed.",
    )(function)


def _read_origins(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        read_origins(texts)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    return texts


def listening_options(default_port: int) -> Callable[[_F], _F]:
    """Return a decorator that adds *host*, *port*, *allow_origin*, *allow_host* and *tls*."""

    def add(function: _F) -> _F:
        for option in (
            click.option(
                "--tls-certificate",
                "certificate",
                nargs=2,
                metavar="CERTIFICATE KEY",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Speak TLS with this certificate and its key, two files in PEM.",
            ),
            click.option(
                "--tls",
                "is_tls",
                is_flag=True,
                help="Speak TLS, with a certificate that is made at start; the file of its "
                "authority is printed, for clients to trust.",
            ),
            click.option(
                "--allow-host",
                multiple=True,
                metavar="NAME",
                help="Another name by which clients may call this server, beside localhost and "
                "its address. Can be given several times.",
            ),
            click.option(
                "--allow-origin",
                multiple=True,
                metavar="ORIGIN",
                callback=_read_origins,
                help="Let web pages of this origin connect, like http://localhost:3000; others are "
                "refused. Can be given several times.",
            ),
            click.option(
                "--port",
                default=default_port,
                show_default=True,
                type=click.IntRange(0, 65535),
                help="The port to listen at; 0 takes one that is free.",
            ),
            click.option(
                "--host",
                default="127.0.0.1",
                show_default=True,
                help="The address to listen at; another one than loopback's may let others in.",
            ),
        ):
            function = option(function)
        return function

    return add
