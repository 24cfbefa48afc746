"""
The conversation: its items, in order, and the changes that a client may make.

An item is kept as the protocol has it, beside the audio that the protocol leaves out until a
client asks for it. Ids are unique for as long as the item is there. An item's predecessor is
the one before it now, so it may differ between two events about the same item.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import pybase64

from ...audio._formats import PCM16, AudioFormat
from .checks import RequestError

_ROOT: Final = "root"  # as a predecessor: in front of everything


@attrs.define(eq=False)
class Item:
    """
    An item, and its audio.

    Attributes:
        data: The item as events carry it; changed in place while it grows.
        audio: Of its audio part, the assistant's only as far as it was sent.
        audio_format: The format of *audio*.
        words: The user's words in its audio.
        is_linked: Whether it is in the conversation now.
        is_truncated: Whether the client has cut it; it doesn't grow any more then.
    """

    data: dict[str, Any]
    audio: bytearray = attrs.field(factory=bytearray, repr=False)
    audio_format: AudioFormat = PCM16
    words: str = attrs.field(default="", repr=False)
    is_linked: bool = False
    is_truncated: bool = False

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.data["id"])

    @property
    def audio_ms(self) -> int:
        """The length of its audio, in whole milliseconds."""
        return int(self.audio_format.duration_ms(len(self.audio)))

    def snapshot(self) -> dict[str, Any]:
        """Return the item as it is now, for an event."""
        data = dict(self.data)
        if "content" in data:
            data["content"] = [dict(part) for part in data["content"]]
        return data


class Conversation:
    """The items of one session."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        return (self._items[item_id] for item_id in self._order)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def last_id(self) -> str | None:
        """Return the id of the last item, if there is one."""
        return self._order[-1] if self._order else None

    def predecessor(self, item: Item) -> str | None:
        """Return the id of the item before *item*, which is in the conversation."""
        index = self._order.index(item.id)
        return self._order[index - 1] if index else None

    def add(self, item: Item, *, after: str | None = None) -> None:
        """
        Put *item* behind the item *after*, at the end if it is None, or in front of all others.

        Raises:
            RequestError: The item's id is taken, or there is no item *after*.
        """
        if item.id in self._items:
            msg = f"Error adding item: an item with id '{item.id}' already exists."
            raise RequestError(msg, code="item_create_duplicate_item_id", param="item.id")
        if after is None:
            index = len(self._order)
        elif after == _ROOT:
            index = 0
        elif after in self._items:
            index = self._order.index(after) + 1
        else:
            msg = f"Error adding item: the previous item with id '{after}' does not exist."
            raise RequestError(
                msg, code="item_create_invalid_previous_item_id", param="previous_item_id"
            )
        self._order.insert(index, item.id)
        self._items[item.id] = item
        item.is_linked = True

    def check_call(self, call_id: str) -> None:
        """
        Refuse the output of a call that nobody has made.

        Raises:
            RequestError: No item is a call with that id.
        """
        if not any(
            item.data["type"] == "function_call" and item.data["call_id"] == call_id
            for item in self
        ):
            msg = f"Tool call ID '{call_id}' not found in conversation."
            raise RequestError(msg, code="invalid_tool_call_id", param="item.call_id")

    def delete(self, item_id: str) -> None:
        """
        Remove an item.

        Raises:
            RequestError: There is no such item.
        """
        item = self._find(item_id, "delete", "deleting")
        self._order.remove(item_id)
        del self._items[item_id]
        item.is_linked = False

    def retrieve(self, item_id: str) -> dict[str, Any]:
        """
        Return an item with everything, also the audio that other events leave out.

        Raises:
            RequestError: There is no such item.
        """
        item = self._find(item_id, "retrieve", "retrieving")
        data = item.snapshot()
        for part in data.get("content", ()):
            if part["type"] in {"input_audio", "output_audio"}:
                part["audio"] = pybase64.b64encode(item.audio).decode()
        return data

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """
        Cut an item's speech, and forget its transcript, which tells more than was heard.

        Raises:
            RequestError: There is no such item, it isn't the assistant's speech, or it is shorter.
        """
        item = self._find(item_id, "truncate", "truncating")
        content = item.data.get("content", [])
        part = content[content_index] if content_index < len(content) else {}
        # What was played can't be text, and nothing was played of an item without a part.
        if item.data.get("role") != "assistant" or part.get("type") != "output_audio":
            msg = "Only model output audio messages can be truncated."
            raise RequestError(msg, code="unsupported_content_type", param="item_id")
        if audio_end_ms > item.audio_ms:
            msg = f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms."
            raise RequestError(msg, code="invalid_value", param="audio_end_ms")
        del item.audio[item.audio_format.byte_count(audio_end_ms) :]
        part.pop("transcript", None)
        item.is_truncated = True

    def _find(self, item_id: str, verb: str, doing: str) -> Item:
        item = self._items.get(item_id)
        if item is None:
            msg = f"Error {doing} item: the item with id '{item_id}' does not exist."
            raise RequestError(msg, code=f"item_{verb}_invalid_item_id", param="item_id")
        return item
