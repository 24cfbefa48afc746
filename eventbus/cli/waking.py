"""
Waiting from which a signal always wakes a command.

A signal ends the system call that its thread waits in. One that comes just before the call, and one
that Python itself makes (`_thread.interrupt_main`), ends nothing: Python's handler waits for the
next byte code of the main thread, which isn't reached. So what is waited for here is also a socket
that Python writes to at each signal (`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar, TypeVarTuple

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def run_loop(main: Callable[[*Arguments], Awaitable[T]], *args: *Arguments) -> T:
    """
    Run *main* in an event loop, which each signal wakes, and return its result.

    Raises:
        KeyboardInterrupt: Ctrl-C has cancelled it.
    """

    async def awake() -> T:
        with _waking_the_loop():
            return await main(*args)

    return anyio.run(awake)


def wait_for_interrupt() -> NoReturn:
    """
    Wait until the handler of a signal raises an exception.

    Raises:
        KeyboardInterrupt: It was Ctrl-C.
    """
    with _told_of_signals() as signals:
        while True:
            signals.recv(4096)


@contextlib.contextmanager
def _waking_the_loop() -> Iterator[None]:
    """Wake the running event loop at each signal; that of Windows does so by itself."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    with _told_of_signals() as signals:
        signals.setblocking(False)
        loop.add_reader(signals, signals.recv, 4096)
        try:
            yield
        finally:
            loop.remove_reader(signals)


@contextlib.contextmanager
def _told_of_signals() -> Iterator[socket.socket]:
    """Yield a socket that gets a byte for each signal that Python handles."""
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(before)
