"""
Output: data goes to stdout, everything else to stderr.

On a terminal lines are cut to its width or wrapped, and coloured unless ``NO_COLOR`` is set. Files
and pipes get whole lines, coloured only if ``FORCE_COLOR`` is set.
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

_PATIENCE: Final = 1.0
"""Seconds before a progress bar appears."""

_REFRESH: Final = 0.1
"""Seconds between two pictures of it."""


def console_for(file: TextIO) -> Console:
    """
    Return rich's console for *file*.

    Terminals have colour unless ``NO_COLOR`` is set; other files if ``FORCE_COLOR`` is.
    """
    return Console(
        file=file,
        force_terminal=file.isatty() or has_forced_colour(),
        # Without a colour system there are no other styles either: no escape codes at all.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        emoji=False,
        highlight=False,
        markup=False,
    )


def has_forced_colour() -> bool:
    """Return True if the environment asks for colour in files and pipes, too."""
    return os.environ.get("FORCE_COLOR", "") not in ("", "0") and not os.environ.get("NO_COLOR")


class Output:
    """
    Standard output, line by line.

    Attributes:
        console: rich's console for it.
        is_terminal: Whether it is a terminal.
    """

    def __init__(self) -> None:
        self._file: TextIO = sys.stdout
        self.console = console_for(self._file)
        self.is_terminal = self._file.isatty()

    @property
    def width(self) -> int | None:
        """The width of the terminal; None if it isn't one."""
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
        if not self.is_terminal and not has_forced_colour():
            self._file.write(f"{shown}\n")
        else:
            if shown != plain:  # a text whose parts weren't escaped loses their styles
                text = Text(shown, text.style if isinstance(text, Text) else "")
            if not self.is_terminal:  # whole, like all that goes into files and pipes
                self.console.print(text, soft_wrap=True)
                return
            self.console.print(text, no_wrap=is_cut, overflow="ellipsis" if is_cut else "fold")

    def json_line(self, text: str) -> None:
        """Write one line of JSON; always in UTF-8, as JSON is."""
        self._file.flush()
        self._file.buffer.write(printable_json(text).encode() + b"\n")

    def flush(self) -> None:
        """Flush the output, before something that may take time."""
        self._file.flush()


class Screen(Protocol):
    """The display of a call, line by line."""

    def line(self, who: str, text: str) -> None:
        """Show a line that is complete."""

    def growing(self, who: str, text: str) -> None:
        """Show the beginning of a line that will come."""


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
        output: Standard output.
        clock: Returns the duration of the call in seconds.
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
        """Do nothing: lines in a file can't be changed."""


class LiveScreen:
    """
    Complete lines, and below them the growing ones, one for each speaker; for terminals.

    Args:
        output: Standard output.
        clock: Returns the duration of the call in seconds.
        redirects: Whether the prints of others go above the growing lines.
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
        """Show *prompt* instead of the growing lines, while this is entered."""
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
        """Print the line above the growing ones; the one that has grown into it is gone."""
        self._growing.pop(who, None)
        self._refresh()
        self._console.print(self._rows({who: text}))

    def growing(self, who: str, text: str) -> None:
        """Show *text* in the line of that speaker."""
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
    A progress bar on stderr, if that is a terminal; it appears after a second.

    Args:
        total: The number of bytes, if it is known.
        is_wanted: False for no bar at all.
        label: The text beside the bar, a verb.
    """

    def __init__(
        self, total: int | None, *, is_wanted: bool = True, label: str = "replaying"
    ) -> None:
        self._console = console_for(sys.stderr)
        self._total = total
        self._label = label
        self._is_wanted = is_wanted and sys.stderr.isatty() and total is not None
        self._next = time.monotonic() + _PATIENCE
        self._progress: Progress | None = None
        self._task: Any = None

    def update(self, done: int) -> None:
        """Set the number of bytes that are done; it may be called often."""
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
                # On a terminal, the app's own prints go above the bar.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._progress.add_task("", total=self._total)
            self._progress.start()
        self._progress.update(self._task, completed=done)
        self._progress.refresh()

    @contextlib.contextmanager
    def shown(self) -> Iterator[Self]:
        """Remove the bar at exit."""
        try:
            yield self
        finally:
            if self._progress is not None:
                self._progress.stop()
