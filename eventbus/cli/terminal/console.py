"""
Where output goes: data to stdout, everything else to stderr, colour to terminals only.

On a terminal lines are cut to its width or wrapped, and coloured unless ``NO_COLOR`` is set.
Anywhere else they are written as they are.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .escaping import printable, printable_json

__all__ = ["Bar", "LiveScreen", "Output", "PlainScreen", "Screen", "console_for"]

_PATIENCE: Final = 1.0
"""Seconds before a progress bar appears."""

_REFRESH: Final = 0.1
"""Seconds between two pictures of it."""


def console_for(file: TextIO) -> Console:
    """Return rich's view of *file*: a terminal is what says that it is one, and nothing else."""
    return Console(
        file=file,
        force_terminal=file.isatty(),
        # Without a colour system there are no other styles either: no escape codes at all.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        emoji=False,
        highlight=False,
        markup=False,
    )


class Output:
    """
    Standard output, line by line.

    Attributes:
        console: rich's view of it.
        is_terminal: Whether somebody looks at it.
    """

    def __init__(self) -> None:
        self._file: TextIO = sys.stdout
        self.console = console_for(self._file)
        self.is_terminal = self.console.is_terminal

    @property
    def width(self) -> int | None:
        """How many characters fit in a line, if it is a terminal."""
        return self.console.width if self.is_terminal else None

    def line(self, text: Text | str = "", *, is_cut: bool = True) -> None:
        """
        Write one line of text, with control characters escaped, tabs apart.

        Args:
            text: The line.
            is_cut: Whether a terminal cuts it to its width; else it wraps it.
        """
        plain = str(text)
        shown = "\t".join(map(printable, plain.split("\t")))
        if not self.is_terminal:
            self._file.write(f"{shown}\n")
        else:
            if shown != plain:  # a text whose parts weren't escaped loses their styles
                text = Text(shown, text.style if isinstance(text, Text) else "")
            self.console.print(text, no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold")

    def json_line(self, text: str) -> None:
        """Write one line of JSON; always in UTF-8, as JSON is."""
        self._file.flush()
        self._file.buffer.write(printable_json(text).encode() + b"\n")

    def flush(self) -> None:
        """Hand on what was written: something may take its time now."""
        self._file.flush()


class Screen(Protocol):
    """What a call is shown on, line by line."""

    def line(self, who: str, text: str) -> None:
        """Show a line that is complete."""

    def growing(self, who: str, text: str) -> None:
        """Show what is known so far of a line that will come."""


_STYLES: Final = {
    "call": "dim",
    "caller": "cyan",
    "agent": "green",
    "tool": "magenta",
    "crash": "bold red",
    "cut": "yellow",
    "error": "bold red",
}


class PlainScreen:
    """
    Complete lines only, for files and pipes.

    Args:
        output: Where they go.
        clock: Tells how many seconds the call has lasted.
    """

    def __init__(self, output: Output, clock: Callable[[], float]) -> None:
        self._output = output
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def line(self, who: str, text: str) -> None:
        """Write the line."""
        self._output.line(f"{self._clock():5.1f} s  {who:<6}  {printable(text)}")

    def growing(self, who: str, text: str) -> None:
        """Do nothing: what is written can't be changed."""


class LiveScreen:
    """
    Complete lines, and below them those that still grow, one for each who; for terminals.

    Args:
        output: Where they go.
        clock: Tells how many seconds the call has lasted.
        redirects: Whether what others print goes above what grows.
    """

    def __init__(
        self, output: Output, clock: Callable[[], float], *, redirects: bool = False
    ) -> None:
        self._console = output.console
        self._clock = clock
        self._growing: dict[str, str] = {}
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=redirects,
            redirect_stderr=redirects,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._growing.clear()
        self._refresh()
        self._live.stop()

    @contextlib.contextmanager
    def prompting(self, prompt: str) -> Iterator[None]:
        """Show *prompt* on a line of its own, and nothing that grows, while this is entered."""
        self._growing.clear()
        self._refresh()
        self._live.stop()
        self._console.print(Text(prompt, "bold"), end="")
        self._console.file.flush()
        try:
            yield
        finally:
            self._live.start()

    def line(self, who: str, text: str) -> None:
        """Print the line above what grows, and let go of what has grown into it."""
        self._growing.pop(who, None)
        self._refresh()
        self._console.print(self._rows({who: text}))

    def growing(self, who: str, text: str) -> None:
        """Show *text* in the line of *who*."""
        self._growing[who] = f"{text} …"
        self._refresh()

    def _rows(self, lines: Mapping[str, str]) -> Table:
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(width=7, style="dim")
        rows.add_column(width=6)
        rows.add_column()
        for who, text in lines.items():
            style = _STYLES.get(who, "")
            time_ = Text(f"{self._clock():5.1f} s")
            rows.add_row(time_, Text(who, style), Text(printable(text), style))
        return rows

    def _refresh(self) -> None:
        self._live.update(self._rows(self._growing), refresh=True)


class Bar:
    """
    A progress bar on stderr, for what takes long and for whoever looks.

    Args:
        total: How many bytes there are, if that is known.
        is_wanted: False for no bar at all.
        label: What is being done.
    """

    def __init__(
        self, total: int | None, *, is_wanted: bool = True, label: str = "replaying"
    ) -> None:
        self._console = console_for(sys.stderr)
        self._total = total
        self._label = label
        self._is_wanted = is_wanted and self._console.is_terminal and total is not None
        self._next = time.monotonic() + _PATIENCE
        self._progress: Progress | None = None
        self._task: Any = None

    def update(self, done: int) -> None:
        """Say how many bytes are done; costs nothing to call often."""
        if not self._is_wanted or (now := time.monotonic()) < self._next:
            return
        self._next = now + _REFRESH
        if self._progress is None:
            self._progress = Progress(
                TextColumn(self._label),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
                console=self._console,
                auto_refresh=False,
                transient=True,
                # On a terminal, what an app prints goes above the bar.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._progress.add_task("", total=self._total)
            self._progress.start()
        self._progress.update(self._task, completed=done)
        self._progress.refresh()

    @contextlib.contextmanager
    def shown(self) -> Iterator[Self]:
        """Take the bar away at exit."""
        try:
            yield self
        finally:
            if self._progress is not None:
                self._progress.stop()
