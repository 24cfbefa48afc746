"""
Lines that are typed, or come through a pipe, while an event loop runs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import anyio.to_thread


async def typed_lines(
    prompt: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> AsyncIterator[str]:
    """
    Yield the lines of stdin, without empty ones, until its end.

    Args:
        prompt: Entered while a line is waited for.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):  # not a real file
        for text in sys.stdin:
            if text.strip():
                yield text.strip()
        return
    rest = b""
    is_over = False
    while not is_over:
        with prompt():
            while b"\n" not in rest and not is_over:
                # Not through sys.stdin: the thread would hold its lock when the program ends.
                data = await anyio.to_thread.run_sync(
                    os.read, descriptor, 65_536, abandon_on_cancel=True
                )
                rest += data
                is_over = not data
        *lines, rest = rest.split(b"\n")
        if is_over:
            lines.append(rest)
        for line in lines:
            text = line.decode(sys.stdin.encoding or "utf-8", "replace").strip()
            if text:
                yield text
