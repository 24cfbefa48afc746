"""
The memory of a call that outlives a session of the service.

A service forgets the conversation when its session ends: after a lost connection, at the
session's time limit, or when another model takes over. A `RealtimeSession` then tells the new
session the conversation before anything else. `Memory` chooses how much of it::

    RealtimeSession(model, bus, memory=Memory(turns=20))

Rules:

1. Items are told in their order: messages, tool calls with their outputs.
2. Audio becomes its transcript; an interrupted message is told as far as it was heard. Speech of
   the user without a transcript, because it is not there yet or there will be none, is told as
   `UNTRANSCRIBED`: the model may ask again. Other messages without words are left out, and so is
   speech in which the service found no words.
3. The newest items are kept within the limits. A tool call and its output are one.
4. A service that refuses an item is told the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import attrs

from ..items import (
    AssistantAudio,
    AssistantText,
    InputAudio,
    InputImage,
    InputText,
    RealtimeItem,
    RealtimeToolCallItem,
    SystemMessageItem,
    UserMessageItem,
)

__all__ = [
    "UNTRANSCRIBED",
    "ConversationMemory",
    "Memory",
    "Recall",
    "Recalled",
    "Recollection",
    "RestoreReason",
    "Restored",
]

UNTRANSCRIBED: Final = "[The user said something here that was not transcribed.]"
"""The text of a turn of the user whose words are not known."""

RestoreReason: TypeAlias = Literal["connection_lost", "renewed", "fallback"]
"""The reason why a conversation had to be told to a new session."""

Recalled: TypeAlias = str | Iterable[RealtimeItem | str]
"""A conversation to tell: its items, and texts, which become system messages."""

Recall: TypeAlias = Callable[[Sequence[RealtimeItem]], Recalled | Awaitable[Recalled]]
"""A function that chooses the part of a history to tell: items of it, or a summary."""


@attrs.frozen
class Restored:
    """
    The outcome of telling a conversation to a new session.

    Attributes:
        item_ids: The items that the service took.
        left_out: The items that it doesn't have: over the limits, without words, or refused.
        reason: The reason for the new session.
    """

    item_ids: tuple[str, ...]
    left_out: tuple[str, ...]
    reason: RestoreReason


@attrs.frozen
class Recollection:
    """
    The conversation as it is to be told.

    Attributes:
        items: The items to tell, in words.
        left_out: The ids of the other items of the history.
        last_item_id: The last item of the history, which new items follow; None if it is empty.
    """

    items: Sequence[RealtimeItem] = ()
    left_out: Sequence[str] = ()
    last_item_id: str | None = None


class ConversationMemory(Protocol):
    """The memory that a model asks when a session of the service begins."""

    @property
    def repeats_turn(self) -> bool:
        """True if a response that broke off is asked for again."""
        ...

    async def recall(self) -> Recollection:
        """Return the conversation as it is to be told."""
        ...

    def restored(self, outcome: Restored) -> None:
        """Note the outcome."""
        ...


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"{attribute.name} must be above 0, not {value!r}; memory=None remembers nothing."
        raise ValueError(msg)


@attrs.frozen
class Memory:
    """
    The part of a conversation that a new session of the service is told.

    Attributes:
        turns: Only the last so many turns; a turn begins with a message of the user.
        max_items: The largest number of items.
        max_characters: The largest number of characters of all items.
        select: A function of the history that returns the items to tell, or a text such as a
            summary, or both; it may be async. The limits hold for its result, too.
        repeats_turn: Whether a response that broke off with the connection is asked for again.
    """

    turns: int | None = attrs.field(default=None, validator=_positive)
    max_items: int = attrs.field(default=500, validator=_positive)
    max_characters: int = attrs.field(default=100_000, validator=_positive)
    select: Recall | None = None
    repeats_turn: bool = True

    @classmethod
    def of(cls, given: Memory | Recall | None) -> Memory | None:
        """
        Return the memory that *given* means: itself, or that of a function.

        Raises:
            TypeError: It is neither.
        """
        if given is None or isinstance(given, Memory):
            return given
        if callable(given):
            return cls(select=given)
        msg = f"memory= is a Memory, a function of the history or None, not {given!r}."
        raise TypeError(msg)

    async def recall(self, history: Sequence[RealtimeItem]) -> Recollection:
        """Return *history* as it is to be told."""
        chosen: Any = history if self.turns is None else _last_turns(history, self.turns)
        if self.select is not None:
            chosen = self.select(chosen)
            if inspect.isawaitable(chosen):
                chosen = await chosen
        if isinstance(chosen, str):
            chosen = [chosen]
        told = [item for each in chosen if (item := _told(each)) is not None]
        told = self._within_limits(told)
        ids = {item.item_id for item in told}
        left_out = [item.item_id for item in history if item.item_id not in ids]
        return Recollection(told, left_out, history[-1].item_id if history else None)

    def _within_limits(self, items: list[RealtimeItem]) -> list[RealtimeItem]:
        kept: list[RealtimeItem] = []
        characters = 0
        for item in reversed(items):
            characters += _characters(item)
            if len(kept) == self.max_items or characters > self.max_characters:
                break
            kept.insert(0, item)
        return kept


def _last_turns(history: Sequence[RealtimeItem], turns: int) -> Sequence[RealtimeItem]:
    beginnings = [i for i, item in enumerate(history) if isinstance(item, UserMessageItem)]
    return history if len(beginnings) <= turns else history[beginnings[-turns] :]


def _told(item: RealtimeItem | str) -> RealtimeItem | None:
    """Return *item* as it is told: in words; None if it has none."""
    if isinstance(item, str):
        return SystemMessageItem("", (InputText(item),))
    if isinstance(item, RealtimeToolCallItem):
        return item if item.call_id else None
    parts = [told for part in item.content if (told := _told_part(part)) is not None]
    return attrs.evolve(item, content=parts) if parts else None


def _told_part(part: Any) -> InputText | InputImage | AssistantText | None:
    match part:
        case InputText(text=str(text)) if text:
            return InputText(text)
        case InputAudio(transcript=str(text)) if text:
            return InputText(text)
        case InputAudio(transcript=None):
            return InputText(UNTRANSCRIBED)
        case AssistantText(text=str(text)) if text:
            return AssistantText(text)
        case AssistantAudio():
            words = part.heard_words
            return AssistantText(words) if words else None
        case InputImage(image_url=str()):
            return InputImage(part.image_url, part.detail)
        case _:
            return None


def _characters(item: RealtimeItem) -> int:
    if isinstance(item, RealtimeToolCallItem):
        return len(item.name) + len(item.arguments) + len(item.output or "")
    return sum(
        len(getattr(part, "text", None) or getattr(part, "image_url", None) or "")
        for part in item.content
    )
