"""
Record the events and calls of a bus, and read them again.

::

    with Recorder("call.journal") as recorder, recorder.attach(bus):
        ...

    for record in open_journal("call.journal"):
        ...

::

    records     the records, one class for each kind
    format      the layout of files: a header, and batches with checksums; pure
    batches     the records in a batch, as arrays of a few numbers; pure
    redaction   leaving out secrets, audio, content and fields
    encoding    events, frames and messages as they are written
    derivation  events, made again of the frames that they came from
    assembly    records from batches, and the other way round
    segments    the files of a journal, each by itself
    selection   selecting records
    rows        records in short, for code that looks at all of them
    reader      Journal: iterate, seek, filter, follow
    repair      cutting off the torn ends that a crash leaves
    fsync       the thread that writes, and waits for the disk
    recorder    Recorder: attaching, journals, closing
    copying     copies of journals

A record's way from the bus to the disk::

    tap         the events and calls of a bus, as records
    sessions    senders, handlers and calls, and their names and numbers
    buffer      records from any thread, in order, with gaps for those that are lost
    writer      JournalWriter: batches, segments, failures
    files       files made new, whole and durable
"""

from __future__ import annotations

from ._reader import Journal, open_journal
from ._recorder import Recorder, Recording
from ._records import (
    CallRecord,
    DropRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    Record,
    SentRecord,
    StatusRecord,
    UnknownRecord,
)
from ._redaction import Withholding
from ._repair import repair_journal
from ._rows import Row
from ._segments import TornTail
from ._writer import JournalWriter

__all__ = [
    "CallRecord",
    "DropRecord",
    "EndRecord",
    "EventRecord",
    "FrameRecord",
    "GapRecord",
    "HeaderRecord",
    "Journal",
    "JournalWriter",
    "Record",
    "Recorder",
    "Recording",
    "Row",
    "SentRecord",
    "StatusRecord",
    "TornTail",
    "UnknownRecord",
    "Withholding",
    "open_journal",
    "repair_journal",
]
