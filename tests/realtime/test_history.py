"""
The history has each item once, in its place, with all that was ever said of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.events import (
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
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    HeardAudio,
    InputAudio,
    InputImage,
    InputText,
    RealtimeToolCallItem,
    SystemMessageItem,
    UserMessageItem,
)
from eventbus.realtime import history as module
from eventbus.realtime.history import History, HistoryChange


def updated(item):
    return RealtimeModelItemUpdatedEvent(item)


def text(item_id, previous_item_id=None):
    return updated(UserMessageItem(item_id, [InputText("Hello")], previous_item_id))


def speech(status="in_progress", transcript=None, item_id="a"):
    return updated(AssistantMessageItem(item_id, [AssistantAudio(None, transcript)], status=status))


def delta(words, item_id="a"):
    return RealtimeModelTranscriptDeltaEvent(item_id, words, "r")


def done(words, item_id="a"):
    return RealtimeModelTranscriptDoneEvent(item_id, words, "r")


def deleted(item_id):
    return RealtimeModelItemDeletedEvent(item_id)


def truncated(content_index=0, item_id="a"):
    return RealtimeModelItemTruncatedEvent(item_id, content_index, 1200)


def after(*events):
    history = History()
    for event in events:
        history.apply(event)
    return history


def ids(history):
    return "".join(item.item_id for item in history)


def said(history, item_id="a"):
    return history.get(item_id).content[0].transcript


# --- order -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "order"),
    [
        ([text("a"), text("b"), text("c")], "abc"),
        ([text("a"), text("b", "a"), text("c", "a")], "acb"),
        ([text("a"), text("b", "root")], "ba"),
        ([text("a"), text("b", "")], "ab"),
        ([text("a"), text("c", "b"), text("d"), text("b", "a")], "abcd"),
        ([text("c", "b"), text("b", "a"), text("a")], "abc"),
        ([text("a"), text("b"), text("c"), text("c", "a")], "acb"),
        ([text("a"), text("b", "a"), text("b")], "ab"),
        ([text("a", "a"), text("b", "a")], "ab"),
        ([text("a", "b"), text("b", "a")], "ba"),
        ([text("a"), text("b", "a"), text("c", "b"), deleted("b")], "ac"),
        ([text("a"), text("b", "a"), deleted("b"), text("d"), text("c", "b")], "acd"),
        ([text("c", "b"), text("d"), deleted("b"), text("b", "a"), text("a")], "dac"),
        ([text("c", "b"), text("d"), text("b")], "bcd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_item_follows_the_one_that_it_names(events, order):
    """
    In any order of arrival, an item comes directly behind its predecessor, with its followers.
    """
    assert ids(after(*events)) == order


chains = st.permutations("abcdefgh")


@given(chains, chains)
def test_order_of_arrival_makes_no_difference_to_a_chain(order, arrival):
    """
    Items that name each other are in that order at the end, however they came.
    """
    before = dict(zip(order, ["root", *order], strict=False))

    assert ids(after(*[text(item_id, before[item_id]) for item_id in arrival])) == "".join(order)


@given(chains, chains, st.sets(st.sampled_from("abcdefgh")), st.data())
def test_deletions_may_come_at_any_time(order, arrival, gone, data):
    """
    A deleted item is missing, whenever that was told, and the others keep their order.
    """
    before = dict(zip(order, ["root", *order], strict=False))
    events = [text(item_id, before[item_id]) for item_id in arrival] + list(map(deleted, gone))
    events = data.draw(st.permutations(events))

    assert ids(after(*events)) == "".join(each for each in order if each not in gone)


item_ids = st.sampled_from("abcde")
anything = st.one_of(
    st.builds(text, item_ids, st.none() | item_ids | st.just("root")),
    st.builds(delta, st.just("x "), item_ids),
    st.builds(done, st.just("x x "), item_ids),
    st.builds(deleted, item_ids),
    st.builds(truncated, st.integers(-1, 1), item_ids),
    st.builds(speech, st.sampled_from(["in_progress", "completed"]), st.none(), item_ids),
    st.builds(RealtimeModelInputAudioCommittedEvent, item_ids, st.none() | item_ids),
    st.builds(
        RealtimeModelConnectionStatusEvent,
        st.sampled_from(["connecting", "connected", "disconnected"]),
    ),
    st.builds(
        RealtimeModelToolCallEvent,
        st.just("f"),
        item_ids,
        st.just("{}"),
        item_ids,
        st.none() | item_ids,
    ),
)


@given(st.lists(anything, max_size=40))
def test_any_events_leave_a_history_that_agrees_with_its_changes(events):
    """
    No item is there twice, no deleted one is there, and following the changes gives the same items.
    """
    history, followed, gone = History(), {}, set()
    for event in events:
        before = history.items
        change = history.apply(event)
        if change is None:
            assert history.items == before
        elif change.kind == "deleted":
            assert followed.pop(change.item.item_id) == change.item
            gone.add(change.item.item_id)
        else:
            assert (change.item.item_id in followed) == (change.kind == "updated")
            followed[change.item.item_id] = change.item
        if change is not None and change.kind == "added":
            others = [item for item in history.items if item.item_id != change.item.item_id]
            assert change.moved == (others != [*before])

        items = history.items
        assert {item.item_id: item for item in items} == followed
        assert len(items) == len(history) == len(followed)
        assert not followed.keys() & gone
        assert history.snapshot() == items == tuple(history)


@given(st.lists(anything, max_size=40), st.data())
@pytest.mark.slow
def test_snapshots_stay_as_they_were(events, data):
    """
    Later events change no snapshot, looked at or not.
    """
    history, taken = History(), []
    for event in events:
        history.apply(event)
        snapshot = history.snapshot()
        if data.draw(st.booleans()):
            snapshot.items()
        taken.append((snapshot, [history.get(item.item_id) for item in history.snapshot()]))

    assert [list(snapshot) for snapshot, _ in taken] == [items for _, items in taken]


def test_addition_says_that_others_have_moved():
    """
    The item that others have waited for brings them to their place.
    """
    history = after(text("a"), text("c", "b"), text("d"))

    change = history.apply(text("b", "d"))

    assert (change.kind, change.moved, ids(history)) == ("added", True, "adbc")
    assert not history.apply(text("e")).moved
    assert not history.apply(text("f", "a")).moved


def test_long_chain_is_no_problem():
    """
    A conversation is a chain of thousands, which came in the wrong order at worst.
    """
    count = 1200
    backwards = [text(f"{n:04}", f"{n - 1:04}") for n in reversed(range(count))]

    assert [int(item.item_id) for item in after(*backwards)] == [*range(count)]


def test_deletions_are_not_remembered_for_ever():
    """
    The ids of the last few hundred are kept, and items between those that stay make no difference.
    """
    history = after(text("a"))
    for n in range(module._MAX_DELETED * 2):
        history.apply(text(str(n), "a" if n == 0 else str(n - 1)))
        history.apply(deleted(str(n)))
    history.apply(text("z", str(n)))

    assert ids(history) == "az"
    assert len(history._nodes) < module._MAX_DELETED + 10


# --- content ---------------------------------------------------------------------------------


def test_deltas_add_up_until_the_final_text():
    """
    The final transcript replaces the pieces, and a delta that is late is ignored.
    """
    history = after(speech(), delta("Good "), delta("dya"))
    assert said(history) == "Good dya"

    history.apply(done("Good day"))
    assert history.apply(delta("!")) is None

    assert said(history) == "Good day"


@given(
    st.permutations(
        [speech(), speech("completed", "Good day"), done("Good day"), delta("Good day")]
    )
)
def test_final_text_is_final_in_any_order(events):
    """
    An update, a delta and the end of the transcript give one and the same item.
    """
    (item,) = after(*events)

    assert item == AssistantMessageItem("a", [AssistantAudio(None, "Good day")], status="completed")


def test_update_leaves_what_it_does_not_have():
    """
    A missing transcript, picture, part, predecessor or extra field is one that stays.
    """
    image = InputImage("data:x", extra={"kept": 1})
    first = UserMessageItem(
        "a", [InputAudio("AAAA", "Hello"), image], "root", extra={"object": "realtime.item"}
    )
    second = UserMessageItem("a", [InputImage(None, "high"), InputAudio(None, "")], extra={"x": 2})

    (item,) = after(updated(first), updated(second), updated(UserMessageItem("a")))

    assert item == UserMessageItem(
        "a",
        [InputImage("data:x", "high", extra={"kept": 1}), InputAudio("AAAA", "Hello")],
        "root",
        extra={"object": "realtime.item", "x": 2},
    )


def test_update_that_is_behind_the_deltas_takes_nothing_back():
    """
    An item that is retrieved while it is spoken may know less than the deltas have said.
    """
    history = after(speech(), delta("Good day"), speech("in_progress", "Good"))

    assert said(history) == "Good day"
    assert said(after(speech(), speech("in_progress", "Good"), delta(" day"))) == "Good day"


def test_status_never_goes_back():
    """
    Completed doesn't become in progress, and incomplete doesn't become completed.
    """
    history = after(speech("completed"), speech("in_progress"))
    assert history.get("a").status == "completed"
    history.apply(speech("incomplete"))
    history.apply(speech("completed"))
    assert history.get("a").status == "incomplete"


@pytest.mark.parametrize("status", ["connecting", "disconnected"])
def test_what_was_being_said_when_the_connection_was_lost_is_incomplete(status):
    """
    An answer whose session is gone has no end; its pieces stay.
    """
    history = after(speech("completed", "Hi", "a"), speech(item_id="b"), delta("I am", "b"))
    assert history.apply(RealtimeModelConnectionStatusEvent("connected")) is None

    change = history.apply(RealtimeModelConnectionStatusEvent(status))

    assert change is not None
    assert [item.status for item in history] == ["completed", "incomplete"]
    assert said(history, "b") == "I am"
    assert history.apply(RealtimeModelConnectionStatusEvent(status)) is None


def test_texts_of_all_kinds_are_put_together():
    """
    Written text and the transcript of the user's words come in pieces, too.
    """
    history = after(
        RealtimeModelOutputTextDeltaEvent("t", "Good ", "r"),
        RealtimeModelOutputTextDeltaEvent("t", "day", "r"),
        RealtimeModelInputAudioCommittedEvent("u", None),
        RealtimeModelInputTranscriptDeltaEvent("u", "Hel", 0),
        RealtimeModelInputTranscriptDeltaEvent("u", "lo", 0),
        RealtimeModelInputAudioTranscriptionCompletedEvent("v", "Bye"),
    )

    assert history.items == (
        AssistantMessageItem("t", [AssistantText("Good day")], status="in_progress"),
        UserMessageItem("u", [InputAudio(None, "Hello")]),
        UserMessageItem("v", [InputAudio(None, "Bye")]),
    )
    history.apply(RealtimeModelOutputTextDoneEvent("t", "Good day!", "r"))
    history.apply(RealtimeModelInputAudioTranscriptionCompletedEvent("u", "Hello."))
    assert history.get("t").content == (AssistantText("Good day!"),)
    assert history.get("u").content == (InputAudio(None, "Hello."),)


def test_an_updated_transcript_replaces_the_words_so_far():
    """
    Updates and deltas give the same words, and neither changes a final text.
    """
    history = after(
        RealtimeModelInputTranscriptUpdatedEvent("u", "Hallo"),
        RealtimeModelInputTranscriptUpdatedEvent("u", "Hello, is"),
        RealtimeModelInputTranscriptDeltaEvent("u", " it open?", 0),
    )

    assert history.items == (UserMessageItem("u", [InputAudio(None, "Hello, is it open?")]),)
    history.apply(RealtimeModelInputAudioTranscriptionCompletedEvent("u", "Hello?"))
    assert history.apply(RealtimeModelInputTranscriptUpdatedEvent("u", "late")) is None
    assert history.get("u").content == (InputAudio(None, "Hello?"),)


def test_item_of_another_role_takes_the_place():
    """
    Parts of different classes aren't mixed, and no text is put where it can't be.
    """
    system = SystemMessageItem("a", [InputText("Be brief.")])
    history = after(delta("Good day"), updated(system))

    assert history.items == (system,)
    assert history.apply(delta("!")) is None


def test_deleted_item_does_not_come_back():
    """
    Neither an update nor a delta, nor the end of a transcript, brings it back.
    """
    history = after(text("b"), speech(), deleted("a"))

    for event in (speech("completed"), delta("x"), done("x"), truncated(), deleted("a")):
        assert history.apply(event) is None
    assert ids(history) == "b"


def test_deleted_item_that_says_its_place_moves_what_follows_it():
    """
    That is a change of an item that is there, and a change of the order.
    """
    history = after(text("b"), deleted("a"), text("c", "a"))

    change = history.apply(text("a", "root"))

    assert (change.kind, change.item.item_id, change.moved) == ("updated", "c", True)
    assert ids(history) == "cb"
    assert after(text("b"), deleted("a")).apply(text("a", "root")) is None


@given(
    st.permutations([done("Good day to you"), delta("!"), truncated()]),
)
def test_truncation_keeps_the_transcript_in_any_order(events):
    """
    The words generated stay, the milliseconds heard are beside them, the item is incomplete.
    """
    history = after(speech(), delta("Good day"), *events, speech("completed", "Good day to you"))

    item = history.get("a")
    (part,) = item.content
    assert (item.status, part.transcript) == ("incomplete", "Good day to you")
    assert part.heard == HeardAudio(1200, None, is_estimate=True)
    assert part.heard_words is None


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [(0, ""), (400, ""), (1_000, "Good"), (1_500, "Good day to"), (2_000, "Good day to you")],
)
def test_heard_words_are_estimated_by_the_audio_heard(heard_ms, words):
    """
    Of two seconds of audio, the share that was heard gives the words, to the last whole one.
    """
    history = after(speech(), done("Good day to you"))
    for _ in range(2):
        history.apply(RealtimeModelAudioEvent(bytes(48_000), "r", "a", 0))
    history.apply(RealtimeModelItemTruncatedEvent("a", 0, heard_ms))

    (part,) = history.get("a").content
    assert part.heard == HeardAudio(heard_ms, words, is_estimate=True)


def test_estimate_knows_the_format_of_the_audio():
    """
    A second of G.711 has 8,000 bytes.
    """
    output = {"format": {"type": "audio/pcmu"}}
    history = after(
        RealtimeModelSessionUpdatedEvent({"audio": {"output": output}}, created=True),
        speech(),
        done("Good day to you"),
        RealtimeModelAudioEvent(bytes(16_000), "r", "a", 0),
        RealtimeModelItemTruncatedEvent("a", 0, 1_000),
    )

    (part,) = history.get("a").content
    assert part.heard_words == "Good"


def test_history_is_a_sequence_of_its_items():
    """
    It has a length, indices, slices and an order; an item or its id is in it or not.
    """
    history = after(text("a"), text("b"), text("c"))

    assert isinstance(history, Sequence)
    assert [item.item_id for item in history] == ["a", "b", "c"]
    assert history[-1] is history.get("c")
    assert history[:2] == history.items[:2]
    assert [item.item_id for item in reversed(history)] == ["c", "b", "a"]
    assert "b" in history
    assert history[1] in history
    assert history.index(history[1]) == 1
    assert "x" not in history


def test_shorter_transcript_after_a_truncation_is_what_was_heard():
    """
    A service that is asked for the truncated item has cut its transcript, too.
    """
    history = after(speech(), done("Good day to you"), truncated())
    history.apply(speech("incomplete", "Good day"))
    heard = HeardAudio(1200, "Good day", is_estimate=False)
    assert history.get("a").content[0].heard == heard

    history.apply(speech("completed", "Good day to you"))
    history.apply(speech("in_progress"))

    assert history.get("a").content[0].heard == heard
    assert said(history) == "Good day to you"


@pytest.mark.parametrize(
    "event", [truncated(3), truncated(-1), truncated(0, "u"), truncated(0, "x")]
)
def test_truncation_of_what_is_not_there_changes_nothing(event):
    """
    Only an assistant's audio can be truncated.
    """
    history = after(speech(), text("u"))

    assert history.apply(event) is None


# --- tools -----------------------------------------------------------------------------------


def test_call_and_its_output_are_one_item():
    """
    The output completes the call, and a late update doesn't undo that.
    """
    item = RealtimeToolCallItem("i", "c", "f", "{}")
    call = RealtimeModelToolCallEvent("f", "c", "{}", "i")
    history = after(updated(item))

    assert history.apply(call) is None
    change = history.set_output("c", "42")
    history.apply(updated(item))

    assert change == HistoryChange("updated", attrs.evolve(item, status="completed", output="42"))
    assert history.items == (change.item,)
    assert history.set_output("unknown", "42") is None


def test_call_without_an_item_is_one():
    """
    A model that only tells of the call has it in the history; without an item id, by its call id.
    """
    history = after(RealtimeModelToolCallEvent("f", "c", "{}"))

    assert history.items == (RealtimeToolCallItem("c", "c", "f", "{}"),)
    history.apply(deleted("c"))
    assert history.set_output("c", "42") is None


def test_events_of_something_else_change_nothing():
    """
    Audio, and events that aren't the model's, don't concern the history.
    """
    history = History()

    for event in (
        RealtimeModelAudioEvent(b"", "r", "i", 0),
        object(),
        updated(UserMessageItem("")),
    ):
        assert history.apply(event) is None
    assert len(history) == 0
    assert "i" not in history
