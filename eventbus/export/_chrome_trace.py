"""
Handler calls as a trace, in Chrome's trace event format, which Perfetto shows.

The format is described in Google's document "Trace Event Format": a JSON object with a list of
entries, of which ``M`` names things, ``X`` is complete, ``B`` has only begun, and ``i`` is an
instant. Times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from typing import IO, Any, Final

from ..analysis._record_view import RecordView, views
from ..journal._records import CallRecord, GapRecord, HeaderRecord, Record

_NS_PER_US: Final = 1_000


def write_chrome_trace(records: Iterable[Record | RecordView], file: IO[str]) -> None:
    """
    Write handler calls, and the events between them, in Chrome's trace event format.

    A session is a process there, a handler a thread of it, and events are instants of a thread of
    their own. Names and times are in it, and no content. Perfetto shows it.

    Args:
        records: A `Journal`, records, or views of them.
        file: A file that is open for writing text.
    """
    trace = _Trace()
    file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
    separator = ""
    for each in views(records):
        for entry in trace.entries(each):
            file.write(separator + json.dumps(entry))
            separator = ",\n"
    for entry in trace.unfinished():
        file.write(separator + json.dumps(entry))
        separator = ",\n"
    file.write("\n]}\n")


class _Trace:
    """The entries of a trace, with numbers for sessions and handlers."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[int, str], int] = {}
        self._running: dict[int, dict[str, Any]] = {}

    def entries(self, facts: RecordView) -> Iterator[dict[str, Any]]:
        """Yield the entries for a record: new names first, then the record."""
        record = facts.record
        if isinstance(record, HeaderRecord) or facts.kind == "end":
            return
        process = yield from self._process(facts.sender or "(no sender)")
        thread = yield from self._thread(process, facts.handler or _LANES.get(facts.kind, "events"))
        entry: dict[str, Any] = {
            "name": facts.type or facts.kind,
            "cat": facts.kind,
            "pid": process,
            "tid": thread,
            "ts": facts.since_ns / _NS_PER_US,
            "args": {"seq": record.seq, "cause": record.cause},
        }
        if isinstance(record, CallRecord):
            started_ns = facts.since_ns - (record.mono_ns - record.started_ns)
            entry |= {"ph": "X", "ts": started_ns / _NS_PER_US, "name": record.handler}
            entry["args"] |= {"queued_us": record.queued_ns / _NS_PER_US, "state": record.state}
            if record.state == "started":
                self._running[record.call] = entry
                return
            self._running.pop(record.call, None)
            entry["dur"] = (record.run_ns or 0) / _NS_PER_US
            if record.error is not None:
                entry["args"]["error"] = record.error.type_name
        else:
            entry |= {"ph": "i", "s": "t"}
            if isinstance(record, GapRecord):
                entry["s"] = "g"  # all of the trace lacks something here
        yield entry

    def unfinished(self) -> Iterator[dict[str, Any]]:
        """Yield the calls that never ended."""
        for entry in self._running.values():
            yield entry | {"ph": "B"}

    def _process(self, name: str) -> Generator[dict[str, Any], None, int]:
        number = self._processes.get(name)
        if number is None:
            number = self._processes[name] = len(self._processes) + 1
            yield _named("process_name", number, 0, name)
        return number

    def _thread(self, process: int, name: str) -> Generator[dict[str, Any], None, int]:
        number = self._threads.get((process, name))
        if number is None:
            number = self._threads[process, name] = len(self._threads) + 1
            yield _named("thread_name", process, number, name)
        return number


_LANES: Final = {"frame": "frames", "sent": "sent"}


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}
