"""
Each kind of record is one array in a batch, and comes back equal.
"""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.codec import packs
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelRawServerEvent,
)
from eventbus.exceptions import CodecError, RemoteException
from eventbus.journal import (
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
    _batches,
)
from eventbus.journal._assembly import Assembler, entry_of
from eventbus.journal._batches import encode_batch

COMMON = {"seq": 7, "mono_ns": 1 << 62, "wall_ns": 1 << 60, "sender": "call-42", "cause": 6}
ERROR = RemoteException("shop.OutOfStock", "no more soup", "Traceback ...")
EXAMPLES = [
    HeaderRecord(journal_id="j1", segment=2, first_seq=7, creator="us", redacted=("a", "b.c")),
    FrameRecord(**COMMON, data=b'{"type":"error"}'),
    FrameRecord(**COMMON, data=b"hello", form="str", problem="withheld"),
    EventRecord(**COMMON, class_name="Ping", type_name="ping", document={"a": 1}, audio_bytes=3),
    EventRecord(**COMMON, class_name="shop.Ping", problem="no attrs class"),
    SentRecord(**COMMON, data=b"{}", audio_bytes=960),
    CallRecord(**COMMON, call=7, handler="shop.play", state="started", started_ns=5),
    CallRecord(**COMMON, call=3, handler="shop.play", state="crashed", run_ns=5, error=ERROR),
    DropRecord(**COMMON, handler="shop.play", reason="purged", count=2, events=(4, 5)),
    StatusRecord(**COMMON, status="disconnected"),
    GapRecord(**COMMON, first_seq=3, last_seq=6, reason="No space left on device"),
    EndRecord(**COMMON),
    UnknownRecord(**COMMON, number=99, fields=("anything", [1])),
]

each_example = pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)


def test_examples_are_of_every_class():
    """
    The tests below leave out no kind of record.
    """
    assert {type(record) for record in EXAMPLES} == set(Record.__subclasses__())


def test_kinds_are_told_apart():
    """
    No two classes have the same number.
    """
    kinds = [cls.kind for cls in Record.__subclasses__() if cls is not UnknownRecord]

    assert sorted(kinds) == list(range(9))


def decoded(record, *more):
    """Return the records of a batch with a record, and fields that a newer version has added."""
    names = {}
    entry = entry_of(record, lambda name: names.setdefault(name, len(names) + 1))
    pairs = [(n, getattr(name, "value", name)) for name, n in names.items()]
    return read_batch(pairs, [*entry, *more], record)


def read_batch(names, entry, record):
    damages = []
    payload = encode_batch(record.seq, record.mono_ns, record.wall_ns, 0, names, [entry])
    records = list(Assembler().records(payload, damages.append))
    return records, damages


@each_example
def test_record_comes_back_equal(record):
    """
    A record that is written and read again has the same class and the same fields.
    """
    assert decoded(record) == ([record], [])


@each_example
def test_fields_of_a_newer_version_are_ignored(record):
    """
    Fields that a later version adds behind a record's don't keep this one from reading it.
    """
    if isinstance(record, UnknownRecord):
        expected = attrs.evolve(record, fields=(*record.fields, "news"))
        assert decoded(record, "news") == ([expected], [])
        return
    names, longer = {}, []
    longer += entry_of(record, lambda name: names.setdefault(name, len(names) + 1))
    whole = len(FIELDS[longer[0]].__struct_fields__) + 1
    longer += DEFAULTS[longer[0]][len(DEFAULTS[longer[0]]) - (whole - len(longer)) :]
    pairs = [(n, getattr(name, "value", name)) for name, n in names.items()]

    assert read_batch(pairs, [*longer, "news"], record) == ([record], [])


FIELDS = {
    cls.__struct_config__.tag: cls
    for cls in vars(_batches).values()
    if isinstance(cls, type) and issubclass(cls, _batches.Entry) and cls is not _batches.Entry
}
DEFAULTS = {tag: list(cls.__struct_defaults__) for tag, cls in FIELDS.items()}


def test_fields_that_are_left_out_have_their_defaults():
    """
    A record that ends early has defaults for the rest.
    """
    frame = FrameRecord(seq=7, mono_ns=1, wall_ns=2, data=b"x")

    assert read_batch([], [1, 7, 1, 0, 0, b"x"], frame) == ([frame], [])


WRONG = [None, True, 1.5, "text", b"bytes", [], {}, -1, 1 << 70]


@pytest.mark.parametrize("record", EXAMPLES[:-1], ids=lambda r: type(r).__name__)
def test_field_of_a_wrong_type_is_damage(record):
    """
    Whichever field isn't of its type, the record is not given, or that field was free to be so.
    """
    names = {}
    entry = entry_of(record, lambda name: names.setdefault(name, len(names) + 1))
    pairs = [(n, getattr(name, "value", name)) for name, n in names.items()]
    for place in range(1, len(entry)):
        for wrong in WRONG:
            if type(wrong) is type(entry[place]) or wrong is None:
                continue
            damaged = list(entry)
            damaged[place] = wrong
            try:
                records, damages = read_batch(pairs, damaged, record)
            except OverflowError:  # MessagePack has no such integer
                continue
            assert (len(records), len(damages)) in {(0, 1), (1, 0)}
            if place in (1, 2):
                assert damages or isinstance(wrong, int), (place, wrong)


def test_record_after_a_damaged_one_is_given():
    """
    One that isn't well-formed costs no other record of its batch.
    """
    entries = [[1, 1, 1, 0, 0, b"a"], [1, "2", 1, 0, 0, b"b"], [1, 3, 1, 0, 0, b"c"]]
    damages = []
    payload = encode_batch(1, 1, 1, 0, [], entries)

    records = list(Assembler().records(payload, damages.append))

    assert [record.seq for record in records] == [1, 3]
    assert len(damages) == 1


@given(st.binary(max_size=30))
def test_whatever_a_payload_is_nothing_is_raised(payload):
    """
    Reading a payload gives records or damage, never another error.
    """
    damages = []
    records = list(Assembler().records(payload, damages.append))

    assert all(isinstance(record, Record) for record in records)


def test_first_record_of_a_call_is_its_number():
    """
    A call's record without the number of another one begins the call.
    """
    assert CallRecord(seq=9).call == 9
    assert CallRecord(seq=9, call=4).call == 4


def test_frame_gives_the_raw_event_that_it_was():
    """
    A frame that was JSON is a read-only mapping again; text is text, bytes are bytes.
    """
    frame = FrameRecord(data=b'{"type":"error"}')

    assert frame.event == RealtimeModelRawServerEvent({"type": "error"})
    assert FrameRecord(data=b"hi", form="str").event == RealtimeModelRawServerEvent("hi")
    assert FrameRecord(data=b"hi", form="bytes").event == RealtimeModelRawServerEvent(b"hi")


def test_sent_message_is_what_it_was():
    """
    A message that was a mapping can be read like one.
    """
    assert SentRecord(data=b'{"type":"x"}').message["type"] == "x"
    assert SentRecord(data=b"hi", form="str").message == "hi"


def test_event_is_loaded_when_it_is_asked_for():
    """
    A record holds the codec's document, and makes the event of it.
    """
    event = RealtimeModelAudioEvent(b"\x01\x02", "r-1", "i-1", 0)
    record = EventRecord(class_name="x", type_name="audio", document=packs(event), audio_bytes=2)

    assert record.event == event
    assert record.fields["item_id"] == "i-1"


def test_document_is_plain_data_however_it_is_given():
    """
    As the codec packs it or as a mapping, it is the same; an unreadable one is None.
    """
    event = RealtimeModelAudioEvent(b"", "r-1", "i-1", 0)
    packed = EventRecord(document=packs(event))

    assert packed.document == {
        "type": "audio", "data": b"", "response_id": "r-1", "item_id": "i-1", "content_index": 0,
    }  # fmt: skip
    assert EventRecord(document=packed.document) == packed
    assert EventRecord(document=b"\xc1").document is None


def test_audio_that_was_withheld_is_silence():
    """
    An audio event without its audio is as long as it was.
    """
    event = RealtimeModelAudioEvent(b"", "r-1", "i-1", 0)
    record = EventRecord(class_name="x", type_name="audio", document=packs(event), audio_bytes=960)

    assert record.event.data == bytes(960)


def test_event_that_was_only_named_says_why():
    """
    An event that could not be written can't be loaded, and the error has the reason.
    """
    record = EventRecord(seq=3, class_name="shop.Ping", problem="no attrs class")

    assert record.fields == {}
    with pytest.raises(CodecError, match=r"Record 3 only names its event, shop\.Ping: no attrs"):
        _ = record.event


def test_status_is_an_event():
    """
    A change of the connection is the event that it was published as.
    """
    assert StatusRecord(status="connected").event == RealtimeModelConnectionStatusEvent("connected")


def test_repr_has_no_content():
    """
    A record that is printed shows the length of its data, not its content.
    """
    frame, sent = FrameRecord(data=b"secret"), SentRecord(data=b"secret")
    event = EventRecord(document={"delta": "secret"})

    assert all("secret" not in repr(record) for record in (frame, sent, event))
    assert "<6 bytes>" in repr(frame)
    assert "<1 fields>" in repr(event)
