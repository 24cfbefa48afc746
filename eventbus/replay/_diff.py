"""
Differences between two journals: the same call, before and after a change.

Rules
-----

* Events are compared in order; with *calls*, so are the handler calls.
* Times don't count. Neither do ids by default: each is replaced by its number, in order of
  appearance, so that two runs of one scenario are equal.
* Sessions are matched in the order of their first records.
* The common beginning and the common end are skipped. If more than `MAX_ALIGNED` records are
  left, only the first difference is reported, because aligning them would take too long.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
import msgspec

from ..analysis._record_view import RecordView, views
from ..journal._records import CallRecord, EventRecord, Record, StatusRecord
from ._strict import first_difference, without_content

MAX_ALIGNED: Final = 2_000
"""The largest number of records on a side that are aligned."""


@attrs.frozen
class Difference:
    """
    A difference between two journals.

    Attributes:
        kind: ``changed``, ``removed`` if it is in the first only, or ``added``.
        left: The record in the first journal; None if there is none.
        right: The record in the second one; None if there is none.
        field: The path of the first field that differs, if one does.
        detail: The two values, without content.
        is_last: Whether the comparison ends here, although there may be more differences.
    """

    kind: Literal["changed", "removed", "added"]
    left: RecordView | None
    right: RecordView | None
    field: str = ""
    detail: tuple[str, str] = ("", "")
    is_last: bool = False


@attrs.frozen
class _Entry:
    """A record in the form in which it is compared."""

    facts: RecordView
    document: Mapping[str, Any]
    signature: bytes


def differences(
    left: Iterable[Record | RecordView],
    right: Iterable[Record | RecordView],
    *,
    ids: bool = False,
    calls: bool = False,
) -> Iterator[Difference]:
    """
    Yield the differences between two journals, in order.

    Args:
        left: The first journal, its records, or views of them.
        right: The second one.
        ids: Whether ids count.
        calls: Whether handler calls count.
    """
    old = list(_entries(views(left), ids=ids, calls=calls))
    new = list(_entries(views(right), ids=ids, calls=calls))
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if max(len(old), len(new)) > MAX_ALIGNED:
        yield attrs.evolve(_changed(old[:1], new[:1])[0], is_last=True)
        return
    # Without autojunk, which would ignore the most frequent records: the audio.
    matcher = difflib.SequenceMatcher(
        None, [e.signature for e in old], [e.signature for e in new], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            yield from _changed(old[i1:i2], new[j1:j2])


def _common(old: Sequence[_Entry], new: Sequence[_Entry]) -> int:
    """Return the number of equal entries at the beginning."""
    count = 0
    for left, right in zip(old, new, strict=False):
        if left.signature != right.signature:
            break
        count += 1
    return count


def _changed(old: Sequence[_Entry], new: Sequence[_Entry]) -> list[Difference]:
    """Return the differences between two runs of entries, in pairs while their types are equal."""
    found: list[Difference] = []
    paired = 0
    for left, right in zip(old, new, strict=False):
        if left.facts.type != right.facts.type or left.facts.kind != right.facts.kind:
            break
        found.append(_pair(left, right))
        paired += 1
    found += [Difference("removed", entry.facts, None) for entry in old[paired:]]
    found += [Difference("added", None, entry.facts) for entry in new[paired:]]
    return found


def _pair(left: _Entry, right: _Entry) -> Difference:
    difference = first_difference(left.document, right.document)
    if difference is None:
        return Difference("changed", left.facts, right.facts)
    path, before, after = difference
    detail = without_content(path, before), without_content(path, after)
    return Difference("changed", left.facts, right.facts, path, detail)


def _entries(facts: Iterable[RecordView], *, ids: bool, calls: bool) -> Iterator[_Entry]:
    numbers: dict[str, str] = {}
    sessions: dict[str | None, int] = {}
    for each in facts:
        document = _document(each.record, each, calls=calls)
        if document is None:
            continue
        document["session"] = sessions.setdefault(each.sender, len(sessions))
        if not ids:
            document = _numbered(document, numbers)
        yield _Entry(each, document, _encode(document))


def _document(record: Record, facts: RecordView, *, calls: bool) -> dict[str, Any] | None:
    """Return the compared part of a record; None if it is skipped."""
    match record:
        case EventRecord(problem=problem):
            return {"class": record.class_name, **facts.data, "problem": problem}
        case StatusRecord():
            return {"class": "status", **facts.data}
        case CallRecord(state="finished" | "crashed") if calls:
            error = record.error
            failure = None if error is None else f"{error.type_name}: {error.message}"
            return {"class": "call", "handler": record.handler, "error": failure}
        case _:
            return None


def _numbered(value: Any, numbers: dict[str, str], name: str = "") -> Any:
    """Return *value* with its ids replaced by numbers, and without tracebacks."""
    match value:
        case Mapping():
            return {
                key: _numbered(each, numbers, key)
                for key, each in value.items()
                if key != "traceback"
            }
        case list():
            return [_numbered(each, numbers, name) for each in value]
        case str() if name == "id" or name.endswith("_id"):
            return numbers.setdefault(value, f"#{len(numbers) + 1}")
        case int() if name == "expires_at":  # differs in each run
            return 0
        case _:
            return value


_encode: Final = msgspec.msgpack.Encoder(order="sorted").encode
