"""
How a command ends: its exit codes.
"""

from __future__ import annotations

import enum

from .recorder import Summary

__all__ = ["ExitCode", "exit_code"]


class ExitCode(enum.IntEnum):
    """
    What a command tells whoever started it; the first that applies, from below.

    2, which is for wrong arguments, is click's to give.
    """

    OK = 0
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
