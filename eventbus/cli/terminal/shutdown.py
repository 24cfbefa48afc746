"""
Ending a command early: SIGTERM, SIGHUP and an output that fails do the same as Ctrl-C.

Ctrl-C is handled in one place for each kind of command: the event loop cancels its main task,
anything else gets a KeyboardInterrupt. So a live session is closed, a journal gets its end record,
and the summary is written. Everything here calls that same handler, the one of SIGINT, and
remembers the reason for the exit code: 143 for SIGTERM, as a shell reports it, and 1 for output.

Standard output is watched at the file descriptor, below Python's buffers, so that a failed
``print`` of the user's own handlers counts too: the bus would report it as the handler's crash, and
go on with a call that nobody reads. After the first failure the descriptor leads to the null
device: no other write fails, at the latest that of the interpreter at its exit.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# SIGHUP is sent when the terminal is closed; Windows has no such signal.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Shutdown:
    """
    The reason for which a command ends early, if it does.

    Attributes:
        signal_number: The signal that has ended it, SIGINT apart.
        output_error: The error of the write to stdout that has ended it.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.output_error: OSError | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch signals and stdout; for a whole process, in its main thread."""
        self._watch_stdout()
        before = {number: signal.getsignal(number) for number in _ENDING}
        for number, handler in before.items():
            if handler is signal.SIG_DFL:  # nohup ignores SIGHUP, and that holds
                signal.signal(number, self._end)
        with _interruptible():
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal as Ctrl-C is handled at this moment."""
        self.signal_number = number
        _interrupt(frame)

    def _watch_stdout(self) -> None:
        stdout = sys.stdout
        raw = getattr(getattr(stdout, "buffer", None), "raw", getattr(stdout, "buffer", None))
        if not isinstance(stdout, io.TextIOWrapper) or type(raw) is not io.FileIO:
            return  # a Windows console, or a replacement by the user
        file = _WatchedFile(raw.fileno(), self._fail)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(file),
            encoding=stdout.encoding,
            # A terminal that can't show a character shows its number.
            errors="backslashreplace",
            line_buffering=stdout.line_buffering,
            write_through=stdout.write_through,
        )

    def _fail(self, error: OSError) -> bool:
        """Remember *error*; end the event loop, or return that it is to be raised."""
        self.output_error = error
        if threading.current_thread() is not threading.main_thread():
            _thread.interrupt_main()
        elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            return True  # no event loop runs, so nothing keeps the error from the command
        else:
            _interrupt(None)
        return False


class _WatchedFile(io.FileIO):
    """A file descriptor that reports its first failing write, and leads nowhere after it."""

    def __init__(self, descriptor: int, on_failure: Callable[[OSError], bool]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._on_failure = on_failure

    def write(self, data: Any, /) -> int:
        """Write *data*."""
        try:
            return super().write(data)
        except BlockingIOError:  # not a failure: the reader of a non-blocking pipe is slow
            raise
        except OSError as exc:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if self._on_failure(exc):
                raise
            return memoryview(data).nbytes


def _interrupt(frame: FrameType | None) -> None:
    """Call the handler of SIGINT; it may raise a KeyboardInterrupt."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """
    Give SIGINT a handler, also where it is ignored.

    A shell lets the processes that a script starts with ``&`` ignore SIGINT. Then Python has no
    handler for it, and event loops install none, so nothing could be called. The signal itself
    stays without effect: it is blocked.
    """
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not is_ignored or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
