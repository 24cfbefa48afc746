"""
The history of a conversation: model events in, changes out; no I/O and no bus.

Rules:
Order:

1. An item directly follows the one that its ``previous_item_id`` names. Of two that name the
   same, the one that was told later comes first, as in a list that is inserted into. ``root``
   names the beginning.
2. An item that names none keeps its place. If it is new, it goes to the end, or in front of
   the items that have waited for it.
3. An item that names one that isn't there waits where it is, at the end if it is new, with the
   items that follow it.
4. Claims that go in a circle are not believed.

Content:

5. An update changes nothing that it leaves out: parts that it doesn't have, and a text,
   transcript, audio or picture that it has as null or empty.
6. Deltas add up, and an updated transcript replaces them, until the final text does; one that
   comes later than that is ignored.
7. A status never goes back: none, in progress, completed, incomplete. A call of a tool is
   completed by its output.
8. After a truncation the status is incomplete, the transcript has the words generated, and the
   part's ``heard`` the milliseconds heard and the words heard. Those are estimated by time, from
   the audio received of the part, to the last whole word; a shorter transcript that comes later
   is the service's word for them.
9. A deleted item doesn't come back, however late an event about it is.
10. With the connection a session is lost, and no event of it will follow: the message that the
    model was speaking is incomplete.

How it works
------------
The order is that of a walk through a tree, an item before its children; its parent is the item
that it follows, and its children are in the order of rule 1. So an item takes along its
followers, and the order doesn't depend on which of two items came first. An item that waits
hangs below a node of the id that it named: one without an item, which is at the end and takes no
room. A deleted item leaves such a node behind.

The walk's outcome is kept as a list. Most items come last, and are appended; after any other
change of the tree, the list is made anew when it is next looked at. A change of one item leaves
the list as it is, and the ``snapshots`` that were taken share it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, cast, overload

import attrs

from ..audio._formats import PCM16, AudioFormat
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
)
from ..exceptions import AudioFormatError
from ..items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    InputAudio,
    RealtimeItem,
    RealtimeToolCallItem,
    UserMessageItem,
)
from ._item_parts import (
    WORDED,
    Node,
    Worded,
    empty_message,
    estimate_heard,
    merged_call,
    merged_message,
    with_content,
    with_words,
    words_of,
)

__all__ = ["History", "HistoryChange", "HistorySnapshot", "as_history"]

_MAX_DELETED: Final = 256
_MAX_PATCHES: Final = 16
_ROOT: Final = "root"


@attrs.frozen
class HistoryChange:
    """
    A change of the history by an event.

    Attributes:
        kind: The change of the item; one that moved was updated.
        item: The item as it is now; as it last was, if it was deleted.
        moved: Whether others have changed places: an item that was added has taken those along
            that had waited for it; or that item is one of several that an item has taken along
            which was deleted before.
    """

    kind: Literal["added", "updated", "deleted"]
    item: RealtimeItem = attrs.field(repr=lambda item: f"<{type(item).__qualname__}>")
    moved: bool = False


class History(Sequence[RealtimeItem]):
    """
    The items of one conversation in their order, kept up to date with `apply`.

    It is a sequence of the items as they are now; ``in`` takes an item or its id.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        # First the followers of the beginning, then the items that follow no known one.
        self._root = Node(_ROOT)
        self._top: list[Node] = []
        self._deleted: dict[str, None] = {}
        self._calls: dict[str, str] = {}
        self._bytes_per_ms = PCM16.bytes_per_second / 1000

        self._order: list[Node] = []
        self._places: dict[str, int] = {}
        self._is_ordered = True
        # The tuple that the snapshots share, and the items that differ from it, by place.
        self._base: tuple[RealtimeItem, ...] | None = ()
        self._patches: dict[int, RealtimeItem] = {}

    def __len__(self) -> int:
        return len(self._ordered())

    def __iter__(self) -> Iterator[RealtimeItem]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> RealtimeItem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RealtimeItem, ...]: ...
    def __getitem__(self, index: int | slice) -> RealtimeItem | tuple[RealtimeItem, ...]:
        return self.snapshot()[index]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, str):
            return self.get(value) is not None
        return value in self.items

    def __repr__(self) -> str:
        return f"<History of {len(self)} items>"

    @property
    def items(self) -> tuple[RealtimeItem, ...]:
        """The items, in their order."""
        return self.snapshot().items()

    def get(self, item_id: object) -> RealtimeItem | None:
        """Return the item of that id, or None if there is none."""
        node = self._nodes.get(cast("str", item_id))
        return None if node is None else node.item

    def snapshot(self) -> HistorySnapshot:
        """Return the items as they are now, which takes no time if only few have changed."""
        if self._base is None or len(self._patches) > _MAX_PATCHES:
            self._base = tuple([cast("RealtimeItem", node.item) for node in self._ordered()])
            self._patches = {}
        # A copy: the next change is none of this one.
        return HistorySnapshot(self._base, dict(self._patches))

    def apply(self, event: object) -> HistoryChange | None:
        """
        Apply *event*, and return the change; None if there is none.

        Args:
            event: Any event of the model; most say nothing of the history.
        """
        rule = self._rules.get(type(event))
        return None if rule is None else rule(self, event)

    def set_output(self, call_id: str, output: str) -> HistoryChange | None:
        """
        Note the output of a tool call, which completes it.

        Args:
            call_id: The call; if it is not an item of the history, nothing changes.
            output: The output that the model was given.
        """
        node = self._nodes.get(self._calls.get(call_id, ""))
        if node is None or not isinstance(node.item, RealtimeToolCallItem):
            return None
        return self._set(node, attrs.evolve(node.item, status="completed", output=output))

    # --- items ----------------------------------------------------------------------------

    def _update(self, item: RealtimeItem) -> HistoryChange | None:
        node, has_moved = self._node_at(item.item_id, item.previous_item_id)
        if node is None:
            return None
        if node.is_deleted:  # and its followers know their place now
            followers = (each.item for each in _walk(node.children) if each.item is not None)
            follower = next(followers, None) if has_moved else None
            return None if follower is None else HistoryChange("updated", follower, moved=True)
        if isinstance(item, RealtimeToolCallItem):
            if item.call_id is not None:
                self._calls[item.call_id] = item.item_id
            merged: RealtimeItem = merged_call(node.item, item)
        else:
            merged = merged_message(node, item)
        return self._set(node, merged, has_moved=has_moved)

    def _item_updated(self, event: RealtimeModelItemUpdatedEvent) -> HistoryChange | None:
        return self._update(event.item)

    def _tool_call(self, event: RealtimeModelToolCallEvent) -> HistoryChange | None:
        if event.call_id in self._calls:
            return None
        return self._update(
            RealtimeToolCallItem(
                item_id=event.id or event.call_id,
                call_id=event.call_id,
                name=event.name,
                arguments=event.arguments,
                previous_item_id=event.previous_item_id,
            )
        )

    def _committed(self, event: RealtimeModelInputAudioCommittedEvent) -> HistoryChange | None:
        return self._update(UserMessageItem(event.item_id, (InputAudio(),), event.previous_item_id))

    def _delete(self, event: RealtimeModelItemDeletedEvent) -> HistoryChange | None:
        node = self._nodes.get(event.item_id) or self._new_node(event.item_id)
        if node.is_deleted:
            return None
        item, node.item, node.is_deleted = node.item, None, True
        self._deleted[event.item_id] = None
        if len(self._deleted) > _MAX_DELETED:
            self._forget(next(iter(self._deleted)))
        if item is None:
            return None
        if isinstance(item, RealtimeToolCallItem) and item.call_id is not None:
            self._calls.pop(item.call_id, None)
        self._disorder()
        return HistoryChange("deleted", item)

    def _lost(self, event: RealtimeModelConnectionStatusEvent) -> HistoryChange | None:
        if event.status == "connected":
            return None
        for node in reversed(self._ordered()):
            item = node.item
            if isinstance(item, AssistantMessageItem) and item.status == "in_progress":
                return self._set(node, attrs.evolve(item, status="incomplete"))
        return None

    # --- texts ----------------------------------------------------------------------------

    def _transcript_delta(self, event: RealtimeModelTranscriptDeltaEvent) -> HistoryChange | None:
        return self._say(event.item_id, AssistantAudio, event.delta, is_final=False)

    def _transcript_done(self, event: RealtimeModelTranscriptDoneEvent) -> HistoryChange | None:
        return self._say(event.item_id, AssistantAudio, event.transcript)

    def _text_delta(self, event: RealtimeModelOutputTextDeltaEvent) -> HistoryChange | None:
        return self._say(event.item_id, AssistantText, event.delta, is_final=False)

    def _text_done(self, event: RealtimeModelOutputTextDoneEvent) -> HistoryChange | None:
        return self._say(event.item_id, AssistantText, event.text)

    def _heard_delta(self, event: RealtimeModelInputTranscriptDeltaEvent) -> HistoryChange | None:
        return self._say(event.item_id, InputAudio, event.delta, is_final=False)

    def _heard_so_far(
        self, event: RealtimeModelInputTranscriptUpdatedEvent
    ) -> HistoryChange | None:
        return self._say(event.item_id, InputAudio, event.transcript, is_final=False, replaces=True)

    def _heard(
        self, event: RealtimeModelInputAudioTranscriptionCompletedEvent
    ) -> HistoryChange | None:
        return self._say(event.item_id, InputAudio, event.transcript)

    def _say(
        self,
        item_id: str,
        cls: type[Worded],
        text: str,
        *,
        is_final: bool = True,
        replaces: bool = False,
    ) -> HistoryChange | None:
        """
        Give the first part of *cls* its text, or more of it.

        These events don't say which part they mean, and items with two of a class are not seen.
        An item or a part that isn't there yet is made: no service sends its events in an order
        that is good for ever.
        """
        node, _ = self._node_at(item_id, None)
        if node is None or node.is_deleted or (not is_final and cls in node.final):
            return None
        item = empty_message(item_id, cls) if node.item is None else node.item
        if isinstance(item, RealtimeToolCallItem) or cls not in WORDED.get(type(item), ()):
            return None
        content: tuple[Any, ...] = item.content
        place = next((i for i, part in enumerate(content) if type(part) is cls), len(content))
        part = content[place] if place < len(content) else cls()
        if is_final:
            node.final.add(cls)
            part = with_words(node, part, text)
        else:
            before = "" if replaces else words_of(part) or ""
            part = with_words(node, part, before + text)
        content = (*content[:place], part, *content[place + 1 :])
        return self._set(node, with_content(item, content))

    def _truncate(self, event: RealtimeModelItemTruncatedEvent) -> HistoryChange | None:
        node = self._nodes.get(event.item_id)
        item = None if node is None else node.item
        if node is None or not isinstance(item, AssistantMessageItem):
            return None
        place = event.content_index
        part = item.content[place] if 0 <= place < len(item.content) else None
        if not isinstance(part, AssistantAudio):
            return None
        received = node.audio_bytes.get(place, 0) / self._bytes_per_ms
        part = attrs.evolve(part, heard=estimate_heard(part, event.audio_end_ms, received))
        node.received_ms = received
        content = (*item.content[:place], part, *item.content[place + 1 :])
        return self._set(node, attrs.evolve(item, content=content, status="incomplete"))

    def _audio(self, event: RealtimeModelAudioEvent) -> None:
        node = self._nodes.get(event.item_id)
        if node is not None:
            place = event.content_index
            node.audio_bytes[place] = node.audio_bytes.get(place, 0) + len(event.data)

    def _session_updated(self, event: RealtimeModelSessionUpdatedEvent) -> None:
        audio = event.session.get("audio")
        output = audio.get("output") if isinstance(audio, Mapping) else None
        named = output.get("format") if isinstance(output, Mapping) else None
        if named is None and isinstance(audio, Mapping):
            named = audio.get("format")  # GPT-Live has one for both sides
        with contextlib.suppress(AudioFormatError):
            audio_format = AudioFormat.of(named or event.session.get("output_audio_format"))
            self._bytes_per_ms = audio_format.bytes_per_second / 1000

    # --- places ---------------------------------------------------------------------------

    def _node_at(self, item_id: str, previous_item_id: str | None) -> tuple[Node | None, bool]:
        """Return an item's node, and whether it had to move; no node if it has no id."""
        if not item_id:  # an item without an id could not be told from the next one
            return None, False
        self._ordered()  # as it was, for `_arrive`
        node = self._nodes.get(item_id) or self._new_node(item_id)
        has_moved = bool(previous_item_id) and self._follow(node, previous_item_id or "")
        return node, has_moved

    def _new_node(self, item_id: str) -> Node:
        """Return a new node, at the end."""
        node = self._nodes[item_id] = Node(item_id)
        self._top.append(node)
        return node

    def _follow(self, node: Node, previous_item_id: str) -> bool:
        """Move *node* and its followers behind the item of that id; return False if they are."""
        if previous_item_id == _ROOT:
            parent = self._root
        else:
            parent = self._nodes.get(previous_item_id) or self._new_node(previous_item_id)
        if node.parent is parent or parent is node or (node.children and _is_above(node, parent)):
            return False
        self._leave(node)
        node.parent = parent
        parent.children.insert(0, node)
        if self._is_behind(node, parent) or (node.item is None and not node.children):
            return False
        self._disorder()
        return True

    def _leave(self, node: Node) -> None:
        """Take *node* from its place, and drop the place of an item that it waited for in vain."""
        parent, node.parent = node.parent, None
        if parent is None:
            self._top.remove(node)
            return
        parent.children.remove(node)
        is_in_use = parent.children or parent.item or parent.is_deleted or parent is self._root
        if not is_in_use:
            self._top.remove(parent)
            del self._nodes[parent.item_id]

    def _is_behind(self, node: Node, parent: Node) -> bool:
        """True if *node* directly follows *parent* in the list already."""
        if not self._is_ordered or node.item is None or parent.item is None:
            return False
        return self._places[node.item_id] == self._places[parent.item_id] + 1

    def _set(
        self, node: Node, item: RealtimeItem, *, has_moved: bool = False
    ) -> HistoryChange | None:
        """Put *item* where its node is."""
        known, node.item = node.item, item
        if known is None:
            return HistoryChange("added", item, self._arrive(node))
        if known == item and not has_moved:
            return None
        if self._base is not None:
            self._patches[self._places[node.item_id]] = item
        return HistoryChange("updated", item)

    def _arrive(self, node: Node) -> bool:
        """Take up a node that has an item now; whether others have changed places with that."""
        self._base = None
        if self._is_ordered and not node.children and self._is_last(node):
            self._places[node.item_id] = len(self._order)
            self._order.append(node)
            return False
        before = self._order
        self._disorder()
        return [other for other in self._ordered() if other is not node] != before

    def _is_last(self, node: Node) -> bool:
        if node.parent is None:
            return self._top[-1] is node
        last = self._order[-1] if self._order else self._root
        return node.parent is last and len(last.children) == 1

    def _disorder(self) -> None:
        self._is_ordered = False
        self._base = None

    def _ordered(self) -> list[Node]:
        """Return the nodes that have items, in their order."""
        if not self._is_ordered:
            self._order = [n for n in _walk([self._root, *self._top]) if n.item is not None]
            self._places = {node.item_id: place for place, node in enumerate(self._order)}
            self._is_ordered = True
        return self._order

    def _forget(self, item_id: str) -> None:
        """Forget that an item was deleted; its followers stay where they are."""
        del self._deleted[item_id]
        node = self._nodes.pop(item_id)
        siblings = self._top if node.parent is None else node.parent.children
        place = siblings.index(node)
        siblings[place : place + 1] = node.children
        for child in node.children:
            child.parent = node.parent

    _rules: ClassVar[Mapping[type[Any], Callable[..., HistoryChange | None]]] = {
        RealtimeModelAudioEvent: _audio,
        RealtimeModelConnectionStatusEvent: _lost,
        RealtimeModelInputAudioCommittedEvent: _committed,
        RealtimeModelInputAudioTranscriptionCompletedEvent: _heard,
        RealtimeModelInputTranscriptDeltaEvent: _heard_delta,
        RealtimeModelInputTranscriptUpdatedEvent: _heard_so_far,
        RealtimeModelItemDeletedEvent: _delete,
        RealtimeModelItemTruncatedEvent: _truncate,
        RealtimeModelItemUpdatedEvent: _item_updated,
        RealtimeModelOutputTextDeltaEvent: _text_delta,
        RealtimeModelOutputTextDoneEvent: _text_done,
        RealtimeModelSessionUpdatedEvent: _session_updated,
        RealtimeModelToolCallEvent: _tool_call,
        RealtimeModelTranscriptDeltaEvent: _transcript_delta,
        RealtimeModelTranscriptDoneEvent: _transcript_done,
    }


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield *nodes*, each before its followers; a conversation is too deep for recursion."""
    stack = [*nodes][::-1]
    while stack:
        node = stack.pop()
        yield node
        stack += node.children[::-1]


def _is_above(node: Node, other: Node) -> bool:
    """True if *other* follows *node*, directly or not."""
    above = other.parent
    while above is not None and above is not node:
        above = above.parent
    return above is node


# --- snapshots ------------------------------------------------------------------------------


class HistorySnapshot(Sequence[RealtimeItem]):
    """
    The items of a history at one moment; it equals the tuple of them.

    While the model speaks, each word of the transcript changes one item of perhaps thousands, and
    each change is an event that has the whole history. So a snapshot shares a tuple with those
    before it, and keeps its differences from that tuple by place. Reading more than one item of a
    snapshot makes its own tuple, once.

    Args:
        base: The items as they were once.
        changed: Place -> the item that is there instead; neither changes afterwards.
    """

    __slots__ = ("_base", "_changed")

    def __init__(
        self, base: tuple[RealtimeItem, ...], changed: Mapping[int, RealtimeItem] | None = None
    ) -> None:
        self._base = base
        self._changed = changed or {}

    def items(self) -> tuple[RealtimeItem, ...]:
        """Return the items as a tuple."""
        base, changed = self._base, self._changed
        if changed:
            items = list(base)
            for place, item in changed.items():
                items[place] = item
            # In this order: another thread may look at it meanwhile.
            self._base = base = tuple(items)
            self._changed = {}
        return base

    @overload
    def __getitem__(self, index: int) -> RealtimeItem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RealtimeItem, ...]: ...
    def __getitem__(self, index: int | slice) -> RealtimeItem | tuple[RealtimeItem, ...]:
        if isinstance(index, slice):
            return self.items()[index]
        changed = self._changed  # before the base: items() changes them in the other order
        place = index + len(self._base) if index < 0 else index
        return changed[place] if place in changed else self._base[index]

    def __len__(self) -> int:
        return len(self._base)

    def __iter__(self) -> Iterator[RealtimeItem]:
        return iter(self.items())

    def __contains__(self, value: object) -> bool:
        return value in self.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, HistorySnapshot):
            return self.items() == other.items()
        if isinstance(other, (tuple, list)):
            return self.items() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.items())

    def __repr__(self) -> str:
        return f"<HistorySnapshot of {len(self)} items>"

    def __reduce__(self) -> tuple[Any, ...]:
        return HistorySnapshot, (self.items(),)


def as_history(items: Iterable[RealtimeItem]) -> Sequence[RealtimeItem]:
    """Return *items* as an immutable sequence: a snapshot as it is, any other as a tuple."""
    return items if isinstance(items, HistorySnapshot) else tuple(items)
