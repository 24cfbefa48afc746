"""
The caller: speaks by a script, listens, and says where the agent did otherwise.

Each 20 ms the caller sends a piece, of speech or of silence, and then everything that waits looks
again: so waits are exact to a piece, in real time and in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.abc

from ..simulator.scenario import CallerStep
from ..simulator.speech import silence, speak
from ._hearing import Ear, Reply
from ._line import Line
from ._sounds import cough, noise

_PIECE_SECONDS: Final = 0.02


class Caller:
    """
    A caller, while it is entered.

    Args:
        line: The line to the agent.
        seed: Chooses the voice.
        gap_ms: The silence that ends a turn of the agent.
        patience_ms: The longest wait for the agent, where no other time is given.

    Attributes:
        replies: The agent's turns that were listened to, in order.
    """

    def __init__(
        self, line: Line, *, seed: int = 1, gap_ms: float = 700, patience_ms: float = 15_000
    ) -> None:
        self.replies: list[Reply] = []
        self._line = line
        self._seed = seed
        self._gap = gap_ms / 1000
        self._patience_ms = patience_ms
        self._ear = Ear(line.audio_format)
        self._mouth = bytearray()  # what is still to be said
        self._done_at = 0.0  # when the last sound ended
        self._tick = anyio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Call the agent."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._line.connect(self._ear))
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            self._done_at = anyio.current_time()
            self._tasks.start_soon(self._send)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(exc_type, exc, traceback)

    # --- what it does -------------------------------------------------------------------

    async def say(self, text: str) -> None:
        """
        Speak, once the agent's turn is over; return when the words are spoken.

        A turn that nobody has listened to is forgotten.

        Raises:
            AssertionError: The agent doesn't stop.
        """
        await self._until(lambda: self._has_ended, self._patience_ms, "be silent")
        self._ear.take()
        await self._utter(speak(text, seed=self._seed, audio_format=self._line.audio_format))

    async def ask(self, text: str, *, within_ms: float | None = None) -> Reply:
        """
        Speak, and listen to the answer: `say` and `listen`.

        Raises:
            AssertionError: There was no answer in time.
        """
        await self.say(text)
        return await self.listen(within_ms=within_ms)

    async def listen(self, *, within_ms: float | None = None) -> Reply:
        """
        Listen to a turn of the agent, the present one or the next, and return it.

        Args:
            within_ms: So soon after the caller's last sound it has to begin.

        Raises:
            AssertionError: It has not.
        """
        since = self._done_at
        waited_ms = (anyio.current_time() - since) * 1000
        limit_ms = self._patience_ms if within_ms is None else max(within_ms - waited_ms, 0)
        await self._until(lambda: self._ear.starts_at is not None, limit_ms, "answer", within_ms)
        starts_at = self._ear.starts_at
        if within_ms is not None and starts_at is not None:
            self._check("has answered", (starts_at - since) * 1000, within_ms)
        await self._until(lambda: self._has_ended, None)
        return self._keep(since)

    async def interrupt(
        self, text: str, *, after_ms: float = 0, stops_within_ms: float | None = None
    ) -> Reply:
        """
        Speak over the agent, and return its turn as far as it was heard.

        Args:
            text: The words.
            after_ms: So much of the agent's turn is heard first.
            stops_within_ms: So soon after the first word the agent has to be silent.

        Raises:
            AssertionError: The agent didn't speak, or not for so long, or didn't stop in time.
        """
        since = self._done_at
        await self._until(lambda: self._is_speaking, self._patience_ms, "speak")
        start = self._ear.starts_at or 0
        await self._until(
            lambda: not self._is_speaking or anyio.current_time() >= start + after_ms / 1000, None
        )
        if not self._is_speaking:
            msg = f"The agent's turn was over before {after_ms:g} ms of it: nothing to interrupt."
            raise AssertionError(msg)
        began = anyio.current_time()
        self._mouth += speak(text, seed=self._seed, audio_format=self._line.audio_format)
        limit_ms = self._patience_ms if stops_within_ms is None else stops_within_ms
        await self._until(lambda: not self._is_speaking, limit_ms, "stop", stops_within_ms)
        reply = self._keep(since, interrupted_at=began)
        await self._finish()
        return reply

    async def cough(self) -> None:
        """Cough; at once, whatever the agent does."""
        await self._utter(cough(seed=self._seed, audio_format=self._line.audio_format))

    async def make_noise(self, duration_ms: float) -> None:
        """Make a noise that is no speech, whatever the agent does."""
        await self._utter(noise(duration_ms, seed=self._seed, audio_format=self._line.audio_format))

    async def be_silent(self, duration_ms: float) -> None:
        """Say nothing for so long."""
        until = anyio.current_time() + duration_ms / 1000
        await self._until(lambda: anyio.current_time() >= until, None)

    async def press(self, keys: str) -> None:
        """Press the keys of the telephone, one after another."""
        for key in keys:
            await self._line.press(key)
            await self.be_silent(100)

    async def wait_hung_up(self, within_ms: float | None = None) -> None:
        """
        Wait until the agent has ended the call.

        Raises:
            AssertionError: It has not, within so much time.
        """
        limit_ms = self._patience_ms if within_ms is None else within_ms
        await self._until(lambda: self._ear.is_over, limit_ms, "hang up", within_ms)

    @property
    def is_over(self) -> bool:
        """True if the agent has hung up."""
        return self._ear.is_over

    async def follow(self, steps: Iterable[CallerStep]) -> list[Reply]:
        """
        Perform the steps of a scenario's caller, and return the agent's turns.

        Raises:
            AssertionError: The agent did otherwise; the message has the number of the step.
            TypeError: A step isn't one of a scenario, but a text or a mapping, for example.
        """
        count = len(self.replies)
        steps = list(steps)
        for step in steps:
            if not isinstance(step, CallerStep):
                msg = (
                    f"follow() takes the steps of a scenario, not a {type(step).__name__}; "
                    f"it is follow(load_scenario({{'caller': […]}}).caller)."
                )
                raise TypeError(msg)
        for number, step in enumerate(steps, 1):
            try:
                if step.hang_up:
                    break
                await self._perform(step)
            except AssertionError as exc:
                msg = f"Step {number} of the caller: {exc}"
                raise AssertionError(msg) from exc
        return self.replies[count:]

    async def _perform(self, step: CallerStep) -> None:
        if step.say is not None and step.interrupt_after_ms is not None:
            stops = step.stops_within_ms
            await self.interrupt(step.say, after_ms=step.interrupt_after_ms, stops_within_ms=stops)
        elif step.say is not None:
            await self.say(step.say)
        elif step.noise_ms is not None:
            await self.make_noise(step.noise_ms)
        elif step.cough:
            await self.cough()
        elif step.silence_ms is not None:
            await self.be_silent(step.silence_ms)
        elif step.press is not None:
            await self.press(step.press)
        expected = step.reply if step.listen is None else step.listen
        if expected is not None:
            reply = await self.listen(within_ms=step.within_ms)
            if expected and expected.casefold() not in (reply.heard or "").casefold():
                msg = f"The agent has said {reply.heard!r}, without {expected!r}."
                raise AssertionError(msg)

    # --- waiting ------------------------------------------------------------------------

    @property
    def _is_speaking(self) -> bool:
        return self._ear.is_speaking(anyio.current_time())

    @property
    def _has_ended(self) -> bool:
        if self._ear.starts_at is None:
            return True
        silent_from = self._ear.plays_until + (0 if self._ear.is_over else self._gap)
        return anyio.current_time() >= silent_from

    async def _send(self) -> None:
        """Send a piece each 20 ms: of the words that are to be said, or of silence."""
        form = self._line.audio_format
        quiet = silence(_PIECE_SECONDS * 1000, audio_format=form)
        due = anyio.current_time()
        while True:
            piece = bytes(self._mouth[: len(quiet)])
            del self._mouth[: len(quiet)]
            await self._line.send(piece + quiet[len(piece) :])
            due += _PIECE_SECONDS
            await anyio.sleep_until(due)
            tick, self._tick = self._tick, anyio.Event()
            tick.set()

    async def _utter(self, audio: bytes) -> None:
        self._mouth += audio
        await self._finish()

    async def _finish(self) -> None:
        await self._until(lambda: not self._mouth, None)
        self._done_at = anyio.current_time()

    async def _until(
        self,
        condition: Callable[[], bool],
        limit_ms: float | None,
        verb: str = "",
        told_ms: float | None = None,
    ) -> None:
        """Wait until *condition*; after *limit_ms*, fail since the agent didn't *verb*."""
        deadline = None if limit_ms is None else anyio.current_time() + limit_ms / 1000
        while not condition():
            if self._ear.is_over and verb and verb != "hang up":
                msg = f"The agent didn't {verb}: it has hung up."
                raise AssertionError(msg)
            if deadline is not None and anyio.current_time() > deadline:
                shown_ms = limit_ms if told_ms is None else told_ms
                msg = f"The agent didn't {verb} within {shown_ms:g} ms."
                raise AssertionError(msg)
            await self._tick.wait()

    def _check(self, verb: str, took_ms: float, limit_ms: float) -> None:
        if took_ms > limit_ms:
            msg = f"The agent {verb} after {took_ms:.0f} ms, and not within {limit_ms:g} ms."
            raise AssertionError(msg)

    def _keep(self, since: float, interrupted_at: float | None = None) -> Reply:
        audio, start, end = self._ear.take()
        stopped = None if interrupted_at is None else max(end - interrupted_at, 0) * 1000
        reply = Reply(
            self._ear.words(audio),
            latency_ms=round((start - since) * 1000, 3),
            duration_ms=round((end - start) * 1000, 3),
            was_interrupted=interrupted_at is not None,
            stopped_after_ms=None if stopped is None else round(stopped, 3),
            audio=audio,
        )
        self.replies.append(reply)
        return reply
