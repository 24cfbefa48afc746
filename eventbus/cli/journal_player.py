"""
Runs a journal over a bus, as `eventbus.cli.player` does with a file of frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import attrs

from ..analysis._filters import Filter
from ..bus import EventBus
from ..events import RealtimeModelRawServerEvent
from ..exceptions import BusClosed, MailboxFull, ReplayDifference
from ..journal._records import Record
from ..replay._player import Player
from ..telemetry._summary import Recorder, Summary
from .terminal.journals import JournalInput

__all__ = ["JournalPlayer"]


@attrs.define
class JournalPlayer:
    """
    What the replay of a journal needs; `run` does it, once.

    Attributes:
        source: The journal.
        where: Which of its records are published.
        bus: Where the events go to.
        recorder: Watches the bus.
        speed: 1 is as fast as it happened; infinite is as fast as the handlers allow.
        is_strict: Whether the decoder must give what was recorded.
        decodes: Whether to publish what it gives now.
        with_content: Whether a difference may quote what was said.
        on_event: Called with a record's number and its event, before that is published; not with
            raw events.
        before_wait: Called before anything that may take time.
        difference: The first difference that was found, of a strict replay.
    """

    source: JournalInput
    where: Filter
    bus: EventBus
    recorder: Recorder
    speed: float
    is_strict: bool = False
    decodes: bool = False
    with_content: bool = False
    on_event: Callable[[int, Any], object] = lambda _, __: None
    before_wait: Callable[[], object] = lambda: None
    difference: ReplayDifference | None = attrs.field(default=None, init=False)

    def run(self) -> Summary:
        """
        Replay the journal, and return what has happened; after Ctrl-C, what had happened by then.
        """
        was_interrupted = False
        with self.recorder.recording():
            try:
                anyio.run(self._run)
            except KeyboardInterrupt:
                was_interrupted = True
            except ReplayDifference as difference:
                self.difference = difference
            return self.recorder.summary(was_interrupted=was_interrupted)

    async def _run(self) -> None:
        has_played = False
        try:
            async with self.bus:
                await self._play()
                has_played = True
                self.before_wait()
        except ReplayDifference:
            raise
        except Exception:
            # A strict bus raises at its end what its handlers have raised: that is recorded.
            if not has_played or not self.recorder.crashed:
                raise

    async def _play(self) -> None:
        player = Player(
            self._records(),
            self.bus,
            speed=self.speed,
            strict=self.is_strict,
            decode=self.decodes,
            where=self.where.matches,
            with_content=self.with_content,
            on_event=self._show,
            on_error=self._raise_if_unknown,
        )
        with contextlib.suppress(BusClosed):  # by a handler: the app has had enough
            await player.run()

    def _records(self) -> Iterator[Record]:
        yield self.source.journal.header  # its time is that of the beginning
        # A decoder must see all frames; else what comes before and after needn't be read.
        needs_all = self.is_strict or self.decodes
        yield from self.source.records(None if needs_all else self.where.only_times())

    def _show(self, number: int, event: Any) -> None:
        if not isinstance(event, RealtimeModelRawServerEvent):
            self.on_event(number, event)

    def _raise_if_unknown(self, exc: Exception) -> None:
        """Pass over a full mailbox, and what a strict bus raises: the summary has them."""
        if not (isinstance(exc, MailboxFull) or self.recorder.crashed):
            raise exc
