"""
The items of a history, completed from later events.

`Node` is an item's place in the order, with what is known of its words. The rules are those of
`eventbus.realtime.history` for the content.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast

import attrs

from ..items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    ContentPart,
    HeardAudio,
    InputAudio,
    InputText,
    RealtimeItem,
    RealtimeMessageItem,
    RealtimeToolCallItem,
    UserMessageItem,
)

_STATUS_RANK: Final = (None, "in_progress", "completed", "incomplete")

Worded: TypeAlias = AssistantAudio | AssistantText | InputAudio

WORDED: Final[dict[type[Any], tuple[type[Worded], ...]]] = {
    AssistantMessageItem: (AssistantAudio, AssistantText),
    UserMessageItem: (InputAudio,),
}
"""Class of an item -> the classes of its parts with words that come in pieces."""


class Node:
    """
    A place in the order.

    Attributes:
        item: The item; None if it is not known yet, or was deleted.
        is_deleted: Whether it was.
        parent: The node that this one follows; None at the top.
        children: The nodes that follow this one, the last told first.
        final: The classes of the parts with a complete text.
        audio_bytes: Index of a part -> the size of the audio received of it.
        received_ms: Duration of the audio received of the part that was cut off.
    """

    __slots__ = (
        "audio_bytes",
        "children",
        "final",
        "is_deleted",
        "item",
        "item_id",
        "parent",
        "received_ms",
    )

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        self.item: RealtimeItem | None = None
        self.is_deleted = False
        self.parent: Node | None = None
        self.children: list[Node] = []
        self.final: set[type[Any]] = set()
        self.audio_bytes: dict[int, int] = {}
        self.received_ms = 0.0


def merged_call(known: RealtimeItem | None, item: RealtimeToolCallItem) -> RealtimeToolCallItem:
    """Return *item*, completed from the *known* one."""
    if not isinstance(known, RealtimeToolCallItem):
        return item
    return attrs.evolve(
        item,
        call_id=item.call_id or known.call_id,
        arguments=item.arguments or known.arguments,
        status=known.status if known.status == "completed" else item.status,
        output=known.output if item.output is None else item.output,
        previous_item_id=item.previous_item_id or known.previous_item_id,
        extra={**known.extra, **item.extra},
    )


def merged_message(node: Node, item: RealtimeMessageItem) -> RealtimeMessageItem:
    """Return *item*, completed from the known item at its node."""
    known = node.item
    if type(known) is not type(item) or isinstance(known, RealtimeToolCallItem):
        node.final.clear()
        known = None
    before: list[Any] = [] if known is None else list(known.content)
    is_over = not isinstance(item, AssistantMessageItem) or item.status in (
        "completed",
        "incomplete",
    )
    content = []
    for part in item.content:
        place = next((i for i, other in enumerate(before) if type(other) is type(part)), None)
        old = None if place is None else before.pop(place)
        content.append(_merged_part(node, old, part, is_over=is_over))
    changes: dict[str, Any] = {"content": (*content, *before)}
    if known is not None:
        changes["previous_item_id"] = item.previous_item_id or known.previous_item_id
        changes["extra"] = {**known.extra, **item.extra}
        if isinstance(known, AssistantMessageItem) and isinstance(item, AssistantMessageItem):
            changes["status"] = max(known.status, item.status, key=_STATUS_RANK.index)
        else:
            changes["status"] = item.status or known.status
    return attrs.evolve(item, **changes)


def _merged_part(node: Node, old: Any, part: ContentPart, *, is_over: bool) -> Any:
    """Return *part*, completed from *old*, which was there before; None if nothing was."""
    changes: dict[str, Any] = {}
    if old is not None:
        changes["extra"] = {**old.extra, **part.extra}
        for name in ("audio", "image_url", "detail"):
            if hasattr(part, name):
                changes[name] = getattr(part, name) or getattr(old, name)
    cls: Any = type(part)
    if cls not in _FIELDS:
        return attrs.evolve(part, **changes)
    words, known = words_of(part), None if old is None else words_of(old)
    if words and is_over:
        node.final.add(cls)
    elif known and (cls in node.final or len(known) > len(words or "")):
        words = known  # the deltas are ahead of an item that isn't complete
    if old is not None:  # it knows whether it was truncated
        part = old
    return with_words(node, attrs.evolve(part, **changes), words or known)


_FIELDS: Final[dict[type[Any], str]] = {
    AssistantAudio: "transcript",
    AssistantText: "text",
    InputAudio: "transcript",
    InputText: "text",
}
"""Class of a part -> the field that has its words."""


def words_of(part: Any) -> str | None:
    """Return the words said or written; all of them, even if the speech was cut off."""
    return cast("str | None", getattr(part, _FIELDS[type(part)]))


def with_words(node: Node, part: Any, words: str | None) -> Any:
    """Return *part* with its words; where it was cut off, fewer words are those heard."""
    if isinstance(part, AssistantAudio) and part.heard is not None:
        if words is not None and len(words) < len(part.transcript or ""):
            heard = attrs.evolve(part.heard, transcript=words, is_estimate=False)
            return attrs.evolve(part, heard=heard)
        part = attrs.evolve(part, transcript=words)
        if not part.heard.is_estimate:
            return part
        return attrs.evolve(
            part, heard=estimate_heard(part, part.heard.audio_end_ms, node.received_ms)
        )
    # With no attrs.evolve, which takes as long as all the rest.
    if isinstance(part, (AssistantAudio, InputAudio)):
        return type(part)(part.audio, words, extra=part.extra)
    return type(part)(words, extra=part.extra)


def estimate_heard(part: AssistantAudio, audio_end_ms: int, received_ms: float) -> HeardAudio:
    """Return the heard part of speech: of its words the share that the audio was heard of."""
    words = part.transcript
    if not words or not received_ms:
        return HeardAudio(audio_end_ms, "" if not audio_end_ms else None)
    end = int(len(words) * min(audio_end_ms / received_ms, 1.0))
    while 0 < end < len(words) and not words[end].isspace():
        end -= 1
    return HeardAudio(audio_end_ms, words[:end].rstrip())


def with_content(item: RealtimeMessageItem, content: tuple[Any, ...]) -> RealtimeMessageItem:
    """Return *item* with other content."""
    if isinstance(item, AssistantMessageItem):
        return AssistantMessageItem(
            item.item_id, content, item.previous_item_id, item.status, extra=item.extra
        )
    return type(item)(item.item_id, content, item.previous_item_id, extra=item.extra)


def empty_message(item_id: str, cls: type[Worded]) -> RealtimeMessageItem:
    """Return the message that a part of *cls* is in, of which nothing else is known."""
    if cls is InputAudio:
        return UserMessageItem(item_id)
    return AssistantMessageItem(item_id, status="in_progress")
