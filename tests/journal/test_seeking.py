"""
Reading from any place gives the events that reading from the beginning gives, in bounded time.
"""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import pytest

from eventbus import EventBus
from eventbus._event_base import mark_of
from eventbus.events import RealtimeModelExceptionEvent
from eventbus.exceptions import CodecError
from eventbus.journal import EventRecord, FrameRecord, Recorder, _tap, open_journal
from eventbus.journal._batches import names_of
from eventbus.journal._copying import write_copy
from eventbus.journal._format import FILE_HEADER_BYTES
from eventbus.replay import check_decoder
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import GPTLiveDecoder, OpenAIRealtimeDecoder

DATA = Path(__file__).parents[1] / "data"
SESSIONS = [
    ("openai_barge_in.jsonl", OpenAIRealtimeDecoder),
    ("openai_tool_call.jsonl", OpenAIRealtimeDecoder),
    ("openai_ga_types.jsonl", OpenAIRealtimeDecoder),
    ("voice_live_audio_turn.jsonl", OpenAIRealtimeDecoder),
    ("gpt_live_types.jsonl", GPTLiveDecoder),
    ("gemini_barge_in.jsonl", GeminiDecoder),
    ("gemini_rules.jsonl", GeminiDecoder),
]


def frames_in(name):
    """Return the frames of a recorded session, twice: some ids come again."""
    return [line.encode() for line in (DATA / name).read_text("utf-8").splitlines()] * 2


def told(events):
    """Return events as they can be compared: an exception by its text."""
    return [
        str(event.exception) if isinstance(event, RealtimeModelExceptionEvent) else event
        for event in events
    ]


@pytest.mark.parametrize(("name", "decoder"), SESSIONS)
def test_decoder_goes_on_from_a_saved_state(name, decoder):
    """
    After any frame, a new decoder with the state of the old one makes the same events.
    """
    frames = frames_in(name)
    whole = decoder()
    for split in range(len(frames)):
        events = whole.decode(frames[split])
        state = json.loads(json.dumps(whole.state_at(mark_of(events[0]))))
        restored, copied = decoder(), decoder()
        restored.restore(state)
        copied.restore(state)
        assert copied.state_at(mark_of(copied.decode(b"{}")[0])) == state
        if split % 5 == 0:
            twin = decoder()
            for frame in frames[: split + 1]:
                twin.decode(frame)
            for frame in frames[split + 1 :]:
                assert told(restored.decode(frame)) == told(twin.decode(frame))


@pytest.mark.parametrize(("name", "decoder"), SESSIONS)
def test_saved_state_stays_as_it_was(name, decoder):
    """
    The frames after it change nothing in a state, which a journal writes some time later.
    """
    whole, states, copies = decoder(), [], []
    for frame in frames_in(name):
        states.append(whole.state_at(mark_of(whole.decode(frame)[0])))
        copies.append(copy.deepcopy(states[-1]))

    assert states == copies


def test_state_is_that_of_the_latest_frame_only():
    """
    Of a decoder that has gone on, or has not come so far, there is none.
    """
    decoder = OpenAIRealtimeDecoder()
    first, second = (decoder.decode(b'{"type":"x"}')[0] for _ in range(2))

    assert decoder.state_at(mark_of(first)) is None
    assert decoder.state_at(mark_of(second)) is not None
    assert OpenAIRealtimeDecoder().state_at(mark_of(second)) is None


@pytest.fixture
def short_streams(monkeypatch):
    """Streams are continued every eight frames."""
    monkeypatch.setattr(_tap, "_STREAM_FRAMES", 8)
    monkeypatch.setattr(_tap, "_CHECKPOINT", 3 << 16)


def record(path, name, decoder, **options):
    bus, decoder = EventBus(), decoder()
    bus.subscribe(lambda event: None, object, sender="other")
    with Recorder(path, **options) as recorder, recorder.attach(bus):
        for number, frame in enumerate(frames_in(name)):
            decoder.publish_to(bus, frame, sender="call-1")
            if "segment_bytes" in options and number % 10 == 9:
                recorder.sync()
    return path


def event_of(record):
    """Return an event, or why there is none."""
    try:
        return told([record.event])[0]
    except CodecError as exc:
        return str(exc)


def streams_in(journal):
    return list(dict.fromkeys(each.stream for each in journal.read(FrameRecord)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"audio": False},
        {"content": False},
        {"redact": ["item_id"]},
        {"segment_bytes": 2000, "fsync": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("name", "decoder"), SESSIONS)
def test_event_is_the_same_from_every_place(tmp_path, short_streams, name, decoder, options):
    """
    The first event after a seek, and its fields, are those that reading from the beginning gives.
    """
    journal = open_journal(record(tmp_path / "call.journal", name, decoder, **options))
    whole = {each.seq: each for each in journal.read(EventRecord)}

    for seq in range(1, journal.last.seq, 3):
        found = next(journal.seek(seq=seq).read(EventRecord), None)
        if found is not None:
            assert event_of(found) == event_of(whole[found.seq])
            assert found == whole[found.seq]


def test_seeking_decodes_few_frames(tmp_path, short_streams, monkeypatch):
    """
    However long the call is, no more frames are decoded than a stream has.
    """
    path = record(tmp_path / "call.journal", "openai_barge_in.jsonl", OpenAIRealtimeDecoder)
    decoded, decode = [], OpenAIRealtimeDecoder.decode
    monkeypatch.setattr(
        OpenAIRealtimeDecoder, "decode", lambda self, data: decoded.append(1) or decode(self, data)
    )
    journal = open_journal(path)
    assert len(streams_in(journal)) > 3

    for seq in range(1, journal.last.seq):
        decoded.clear()
        found = next(journal.seek(seq=seq).read(EventRecord), None)
        if found is not None:
            _ = found.event
        assert len(decoded) <= 8 + 4


def test_state_with_something_to_leave_out_is_not_written(tmp_path, short_streams):
    """
    Then the stream goes on until there is one without; a function could want anything left out.
    """
    name, decoder = "openai_barge_in.jsonl", OpenAIRealtimeDecoder
    ids = record(tmp_path / "ids.journal", name, decoder, redact=["response_id"])
    by_function = record(tmp_path / "by_function.journal", name, decoder, redact=[dict])

    states = [stream.state for stream in streams_in(open_journal(ids)) if stream.state is not None]
    assert states
    assert not any(state["in_progress"]["response_id"] for state in states)
    assert len(streams_in(open_journal(by_function))) == 1


def test_words_of_an_open_segment_stay_out_of_a_journal_without_content(tmp_path, short_streams):
    """
    The state of a decoder that collects a transcript is not written.
    """
    bus, decoder = EventBus(), GPTLiveDecoder()
    frame = b'{"type":"session.output_transcript.delta","delta":"secret","start_ms":0,"end_ms":9}'
    with Recorder(tmp_path / "call.journal", content=False) as recorder, recorder.attach(bus):
        for _ in range(40):
            decoder.publish_to(bus, frame, sender="call-1")

    assert b"secret" not in (tmp_path / "call.journal").read_bytes()


def test_later_segments_name_only_streams_that_go_on(tmp_path, short_streams):
    """
    The first batch of a segment has the names that are still used, and no more.
    """
    path = record(
        tmp_path / "call.journal", "openai_barge_in.jsonl", OpenAIRealtimeDecoder,
        segment_bytes=3000, fsync="none",
    )  # fmt: skip
    journal = open_journal(path)

    assert len(journal.paths) > 3
    for segment in journal._segments:  # there is no other way to see it
        with segment.reading() as file:
            _, names = names_of(file.batch_at(FILE_HEADER_BYTES))
        assert sum(isinstance(value, list) for _, value in names) <= 3


@pytest.mark.parametrize(("name", "decoder"), SESSIONS[:4])
def test_strict_replay_goes_on_through_streams(tmp_path, short_streams, name, decoder):
    """
    A strict replay has one decoder for a call, from the beginning or from the middle of it.
    """
    journal = open_journal(record(tmp_path / "call.journal", name, decoder))
    frames = [each.seq for each in journal.read(FrameRecord)]
    begins = [each.first_seq for each in streams_in(journal)]

    assert check_decoder(journal) == len(frames)
    rest = open_journal(journal.path).seek(seq=begins[-1])
    assert check_decoder(rest) == sum(seq >= begins[-1] for seq in frames)


@pytest.mark.parametrize("first", [0, 20])
def test_copy_of_continued_streams_gives_the_same_events(tmp_path, short_streams, first):
    """
    Also a copy of a part of it, and one in which something is left out.
    """
    name, decoder = "openai_barge_in.jsonl", OpenAIRealtimeDecoder
    journal = open_journal(record(tmp_path / "call.journal", name, decoder))
    records = list(itertools.islice(journal, first, None))

    write_copy(records, tmp_path / "copy.journal", header=journal.header)

    wanted = {each.seq: each for each in records if isinstance(each, EventRecord)}
    for each in open_journal(tmp_path / "copy.journal").read(EventRecord):
        assert event_of(each) == event_of(wanted[each.seq])
