"""
How a command ends: its exit codes.
"""

from __future__ import annotations

import enum

from .recorder import Summary

__all__ = ["ExitCode", "exit_code"]


class ExitCode(enum.IntEnum):
    """
    What a command tells whoever started it.

    If several apply, 130 goes before 3, and 3 before 5: a crash may come of a line that is missing.
    1 is for output that can't be written; 2, which is for wrong arguments, is click's to give.
    """

    OK = 0
    NO_OUTPUT = 1
    BAD_INPUT = 3
    CRASHED = 5
    INTERRUPTED = 130  # as a shell says of what SIGINT has ended


def exit_code(summary: Summary) -> ExitCode:
    """Return the exit code of a replay."""
    if summary.was_interrupted:
        return ExitCode.INTERRUPTED
    if summary.bad_lines:
        return ExitCode.BAD_INPUT
    if summary.crashed:
        return ExitCode.CRASHED
    return ExitCode.OK
