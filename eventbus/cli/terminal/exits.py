"""
The exit codes of the commands, and the errors that end one with one line.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .escaping import printable

if TYPE_CHECKING:  # else the help would import all that watches a bus
    from ...telemetry._summary import Summary

__all__ = ["BadInput", "ExitCode", "NoConnection", "exit_code", "unreadable", "unwritable"]


class ExitCode(enum.IntEnum):
    """
    The exit codes of the commands.

    If several apply, 130 goes before 4, 4 before 3, and 3 before 5: a crash may come of a line
    that is missing. 1 is for output that can't be written, for an extra that isn't installed, and
    for an answer that is no: nothing was found, there is a difference, a limit is exceeded. 2,
    which is for wrong arguments, is click's to give; `shutdown` makes 130 of another signal 128 and
    its number: 143 for SIGTERM.
    """

    OK = 0
    NO_OUTPUT = 1
    NO = 1  # as grep and diff say it
    BAD_INPUT = 3
    CONNECTION = 4
    CRASHED = 5
    INTERRUPTED = 130  # as a shell says of what SIGINT has ended


class _OneLine(click.ClickException):
    """An end that one line on stderr explains: the problem, and its remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


class BadInput(_OneLine):
    """A file that is given can't be read, or is of another kind."""

    exit_code = ExitCode.BAD_INPUT


class NoConnection(_OneLine):
    """The service can't be reached or refuses, the connection broke off, or a port is in use."""

    exit_code = ExitCode.CONNECTION


def unreadable(path: Path, error: OSError, *, done: str = "read") -> BadInput:
    """
    Return the error of a command that can't open its input; it names a remedy.

    Args:
        path: The input.
        error: The reason.
        done: The verb of the message, as in "can't be read".
    """
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError) and str(path) == "-":
        msg = "-: there is no such file, and stdin won't do here; name a file."
    elif isinstance(error, (FileNotFoundError, NotADirectoryError)):
        msg = f"{path}: there is no such file; check its path."
    elif os.path.isdir(path):  # noqa: PTH112  # raises nothing; and Windows has another error
        msg = f"{path} is a folder; name a file in it."
    elif isinstance(error, PermissionError):
        msg = f"{path} can't be {done}: {reason}; its owner can change that."
    else:
        msg = f"{path} can't be {done}: {reason}; try a copy of it."
    return BadInput(msg)


def unwritable(path: Path, error: OSError) -> click.ClickException:
    """Return the error of a command that can't write its output; the exit code is 1."""
    reason = error.strerror or str(error)
    return _OneLine(
        f"{path} can't be written: {reason}. Give a path in a folder that is there and has room."
    )


def exit_code(summary: Summary) -> ExitCode:
    """Return the exit code that fits a recording or a replay."""
    if summary.was_interrupted:
        return ExitCode.INTERRUPTED
    if summary.bad_lines:
        return ExitCode.BAD_INPUT
    if summary.crashed:
        return ExitCode.CRASHED
    return ExitCode.OK
