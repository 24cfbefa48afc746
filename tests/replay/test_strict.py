"""
`eventbus.replay.check_decoder`: decoders against recorded events.
"""

from __future__ import annotations

import math

import anyio
import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import JournalError, ReplayDifference
from eventbus.journal import (
    EndRecord,
    EventRecord,
    HeaderRecord,
    Recorder,
    Withholding,
    open_journal,
)
from eventbus.replay import check_decoder, replay
from eventbus.replay._strict import first_difference
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import GPTLiveDecoder, OpenAIRealtimeDecoder
from tests.journal.stories import Story, spoken_turn


def altered(records, type_name, **fields):
    """
    Return *records*, with other fields in the first event of a type.
    """
    index = next(i for i, r in enumerate(records) if getattr(r, "type_name", "") == type_name)
    record = records[index]
    document = msgspec.msgpack.encode({**record.fields, **fields})
    changed = attrs.evolve(record, document=document)
    return [*records[:index], changed, *records[index + 1 :]], changed


def difference_in(records, **options):
    with pytest.raises(ReplayDifference) as caught:
        check_decoder(records, **options)
    return caught.value


def test_same_events_are_no_difference():
    """
    A journal of this decoder's passes; the frames are counted.
    """
    assert check_decoder(spoken_turn().records) == 8


def test_difference_names_the_frame_and_the_field():
    """
    A difference has the frame, the field, the recorded value and the one of now.
    """
    records, changed = altered(spoken_turn().records, "input_speech_started", audio_start_ms=99)
    difference = difference_in(records)

    assert difference.seq == changed.cause
    assert difference.frame_type == "input_audio_buffer.speech_started"
    assert difference.field == "audio_start_ms"
    assert (difference.expected, difference.got) == ("99", "100")
    assert "audio_start_ms: 100, and it was 99" in str(difference)


def test_last_frame_of_a_closed_journal_is_compared_as_a_whole():
    """
    An event that is no more, or is new, is a difference at the end, too; where a journal breaks
    off, the last events may not have been written.
    """
    story = Story()
    story.frame("response.created", response={"id": "resp_1"})
    broken_off = story.records[:-1]

    assert check_decoder(broken_off) == 1
    difference = difference_in([*broken_off, EndRecord(seq=9)])
    assert (difference.field, difference.got) == ("count", "RealtimeModelTurnStartedEvent")


def test_what_was_said_is_withheld_unless_it_is_asked_for():
    """
    A difference in somebody's words tells lengths and the place; with_content quotes them.
    """
    name = "input_audio_transcription_completed"
    records, _ = altered(spoken_turn().records, name, transcript="Hello where")

    assert "Hello" not in str(difference_in(records))
    assert "from number 7 on" in str(difference_in(records))
    assert "'Hello where'" in str(difference_in(records, with_content=True))


def test_event_that_the_decoder_no_longer_gives_is_a_difference():
    """
    One recorded event more than the decoder makes of the frame is told as such.
    """
    story = Story()
    seq = story.frame("response.created", response={"id": "resp_1"})
    story.event(RealtimeModelTurnStartedEvent("resp_1"), cause=seq - 1)
    difference = difference_in(story.records)

    assert (difference.field, difference.got) == ("count", "no event")


def test_event_that_the_decoder_gives_besides_is_a_difference():
    """
    One recorded event less is told when the next frame comes.
    """
    story = spoken_turn()
    records = [r for r in story.records if getattr(r, "type_name", "") != "turn_started"]
    difference = difference_in(records)

    assert (difference.field, difference.got) == ("count", "RealtimeModelTurnStartedEvent")


def test_journal_that_breaks_off_is_no_difference():
    """
    The last frame's events may not have been written any more.
    """
    records = spoken_turn().records

    for length in range(len(records)):
        check_decoder(records[:length])


@pytest.mark.parametrize(
    "withholding",
    [
        Withholding(audio=False),
        Withholding(content=False),
        Withholding(redact=["transcript", "response.id"]),
    ],
)
def test_what_was_withheld_is_no_difference(withholding):
    """
    A redacted journal passes as the original does.
    """
    header, *records = spoken_turn().records
    header = attrs.evolve(
        header,
        has_audio=withholding.has_audio,
        has_content=withholding.has_content,
        redacted=withholding.redacted,
    )

    assert check_decoder([header, *map(withholding.apply, records)]) == 8


def test_reports_of_the_bus_are_no_decoded_events():
    """
    Reports of the bus while a frame is being published are skipped.
    """
    story = Story()
    seq = story.frame("response.created", response={"id": "resp_1"})
    report = RealtimeModelExceptionEvent(ValueError("no"), handler=altered)
    story.event(report, cause=seq - 1)

    assert check_decoder(story.records) == 1


def test_decoder_of_the_users_is_made_for_each_session():
    """
    Each session has a decoder of its own.
    """
    made = []

    def make():
        made.append(OpenAIRealtimeDecoder())
        return made[-1]

    other = spoken_turn()
    records = [*spoken_turn().records, *(attrs.evolve(r, sender="b") for r in other.records)]
    check_decoder(records, make)

    assert len(made) == 2


def test_event_that_is_only_named_is_compared_by_its_class():
    """
    Without recorded fields, only the class is compared.
    """
    records = spoken_turn().records
    named = [
        attrs.evolve(r, document=b"", problem="withheld") if isinstance(r, EventRecord) else r
        for r in records
    ]

    assert check_decoder(named) == 8
    named[2] = attrs.evolve(named[2], class_name=RealtimeModelOtherEvent.__qualname__)
    assert difference_in(named).field == "class"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_document_does_not_differ_from_itself(document):
    """
    Any document, NaN included, is the same as itself.
    """
    assert first_difference(document, document) is None


@pytest.mark.parametrize(
    ("expected", "got", "path"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": 1}, {}, "a"),
        ({"a": 1}, {"a": 1, "b": 2}, "b"),
        ({"a": [1]}, {"a": [1, 2]}, "a"),
        ({"a": True}, {"a": 1}, "a"),
    ],
)
def test_first_difference_has_its_path(expected, got, path):
    """
    The path leads to the innermost value that differs.
    """
    found = first_difference(expected, got)

    assert found is not None
    assert found[0] == path


def test_header_is_no_frame():
    """
    A journal without frames has nothing to compare.
    """
    assert check_decoder([HeaderRecord()]) == 0


# --- recorded sessions ------------------------------------------------------------------------


class Forgetting:
    """
    A decoder that has changed: the session's settings are of another class.
    """

    def decode(self, frame):
        """
        Return other events than the decoder that recorded.
        """
        return [
            RealtimeModelOtherEvent(event)
            if isinstance(event, RealtimeModelSessionUpdatedEvent)
            else event
            for event in super().decode(frame)
        ]


class Forgetful(Forgetting, OpenAIRealtimeDecoder):
    pass


class ForgetfulOfGemini(Forgetting, GeminiDecoder):
    pass


def recorded(path, journal):
    """
    Record a session of the corpus, and return the number of its frames.
    """

    async def run():
        bus = EventBus()
        with Recorder(journal, fsync="none") as recorder, recorder.attach(bus):
            return await replay(path, bus, speed=math.inf)

    return anyio.run(run).last


@pytest.mark.slow
def test_recorded_sessions_are_what_the_decoder_gives(corpus, tmp_path):
    """
    A journal of each session passes, and a decoder that has changed is found in each.
    """
    paths = sorted(corpus.glob("*.jsonl"))
    assert paths
    for path in paths:
        journal = tmp_path / f"{path.stem}.journal"
        assert recorded(path, journal) > 5

        assert check_decoder(open_journal(journal)) > 5, path.name
        changed = ForgetfulOfGemini if path.name.startswith("google") else Forgetful
        difference = difference_in(open_journal(journal), decoder=changed)
        assert (difference.field, difference.got) == ("class", "RealtimeModelOtherEvent")


def recorded_by(decoder, path, journal):
    """
    Record the frames of a file as *decoder* publishes them.
    """
    bus = EventBus()
    with Recorder(journal, fsync="none") as recorder, recorder.attach(bus):
        for line in path.read_bytes().splitlines():
            decoder.publish_to(bus, line)
    return open_journal(journal)


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("gpt_live_types.jsonl", GPTLiveDecoder()),
        ("gemini_barge_in.jsonl", GeminiDecoder(id_prefix="gem2")),
    ],
)
def test_decoder_is_the_one_that_the_journal_names(checkout, tmp_path, name, decoder):
    """
    A journal of another protocol passes with its own decoder, and not with OpenAI's.
    """
    path = checkout / "tests" / "data" / name
    journal = recorded_by(decoder, path, tmp_path / "live.journal")

    assert check_decoder(journal) > 20
    assert difference_in(open_journal(journal.paths[0]), decoder=OpenAIRealtimeDecoder)


class Unregistered(OpenAIRealtimeDecoder):
    """
    A decoder of an application that isn't imported.
    """

    name = "shop"


def test_decoder_that_is_not_known_here_is_named(checkout, tmp_path):
    """
    Without it nothing can be compared; with decoder= it can.
    """
    path = tmp_path / "call.jsonl"
    path.write_text('{"type": "response.created", "response": {"id": "resp_1"}}\n')
    journal = recorded_by(Unregistered(), path, tmp_path / "call.journal")

    with pytest.raises(JournalError, match="decoder 'shop', which isn't known here"):
        check_decoder(journal)
    assert check_decoder(open_journal(journal.paths[0]), Unregistered) == 1
