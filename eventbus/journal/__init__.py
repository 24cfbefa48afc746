"""
Record what happens on a bus, and read it again.

::

    with Recorder("call.journal") as recorder, recorder.attach(bus):
        ...

    for record in open_journal("call.journal"):
        ...

::

    records     what a journal consists of, one class for each kind
    format      how records lie in a file; pure
    segments    the files of a journal, each by itself
    selection   which records somebody wants
    reader      Journal: iterate, seek, filter, follow
    repair      cutting off what a crash has left
    withholding what is not to be written
    syncing     the thread that waits for the disk
    writer      JournalWriter: records into files, in batches
    documents   events as the codec writes them, fast
    senders     what a journal calls a session
    recorder    Recorder: what happens on a bus, as records
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
    "SentRecord",
    "StatusRecord",
    "TornTail",
    "UnknownRecord",
    "Withholding",
    "open_journal",
    "repair_journal",
]
