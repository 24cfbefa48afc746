"""
A session from its first event on: messages in, events out, in order and in time.
"""

from __future__ import annotations

import json

import pytest

from eventbus.simulator import Scenario
from eventbus.simulator._service.fault_plan import Close
from eventbus.simulator._service.service import Service
from eventbus.simulator.scenario import Turn
from tests.simulator.talk import Talk, error, one, types

SCENARIO = Scenario(turns=[Turn(say="Hello there."), Turn(say="Goodbye.")])


def created(**options):
    [event] = Talk(SCENARIO, **options).frames
    assert event["type"] == "session.created"
    return event["session"]


def test_session_comes_first():
    """
    The first event is the whole session, and there is no second one until something happens.
    """
    session = created(model="gpt-realtime-mini", wall_time=1_800_000_000.9)

    assert session["model"] == "gpt-realtime-mini"
    assert session["object"] == "realtime.session"
    assert session["expires_at"] == 1_800_003_600
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert Talk(SCENARIO).wait(10_000_000) == []


def test_updated_session_is_whole():
    """
    An update of one setting is answered with all of them.
    """
    talk = Talk(SCENARIO)

    [updated] = talk.update(instructions="Be kind.")

    assert updated["type"] == "session.updated"
    before = talk.frames[0]["session"]
    assert updated["session"] == {**before, "instructions": "Be kind."}


def test_equal_seeds_give_equal_sessions():
    """
    Same seed, messages and times: same events, to the byte; another seed or session differs.
    """

    def session(**options):
        talk = Talk(SCENARIO, **options)
        talk.say("Hi")
        talk.ask()
        talk.finish()
        return json.dumps(talk.frames)

    assert session(seed=1) == session(seed=1)
    assert len({session(seed=1), session(seed=2), session(seed=1, number=2)}) == 3


@pytest.mark.parametrize(
    ("text", "event_id"),
    [
        ("{", None),
        (b"\x00", None),
        ("{}", None),
        ('{"type": "session.sing", "event_id": "e1"}', "e1"),
        ('{"type": "response.cancel", "event_id": 7}', None),
        ('{"event_id": "e2"}', "e2"),
        ('{"type": "output_audio_buffer.clear", "event_id": "e3"}', "e3"),
    ],
)
def test_wrong_message_is_answered(text, event_id):
    """
    An impossible request is answered with an error that has the message's own event id.
    """
    talk = Talk(SCENARIO)

    refused = error(talk.send_text(text))

    assert refused["event_id"] == event_id
    assert refused["type"] == "invalid_request_error"
    assert refused["message"]


def test_item_is_added_and_done():
    """
    An item of the client's is in the conversation at once, where the client wants it.
    """
    talk = Talk(SCENARIO)
    first = one(talk.say("one"), "conversation.item.added")

    frames = talk.say("zero", id="mine", object="realtime.item")
    assert types(frames) == ["conversation.item.added", "conversation.item.done"]
    assert frames[0]["previous_item_id"] == first["item"]["id"]
    assert frames[1]["item"] == {
        "id": "mine",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "zero"}],
        "status": "completed",
    }

    item = {"type": "message", "role": "system", "content": []}
    [added, _] = talk.send("conversation.item.create", item=item, previous_item_id="root")
    assert added["previous_item_id"] is None


def test_item_can_be_deleted_once():
    """
    Deleting is confirmed, and then there is nothing to delete.
    """
    talk = Talk(SCENARIO)
    talk.say("one", id="mine")

    [deleted] = talk.send("conversation.item.delete", item_id="mine")
    assert deleted["item_id"] == "mine"

    refused = error(talk.send("conversation.item.delete", item_id="mine", event_id="e1"))
    assert (refused["code"], refused["event_id"]) == ("item_delete_invalid_item_id", "e1")


def test_history_can_be_put_in():
    """
    A client may give the session a past: messages of all roles, calls and their outputs.
    """
    talk = Talk(SCENARIO)
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    parts = [{"type": "output_audio", "audio": "AAA=", "transcript": "Hi"}]
    spoken = {"type": "message", "role": "assistant", "content": parts, "id": "spoken"}

    for item in (call, output, spoken):
        assert len(talk.send("conversation.item.create", item=item)) == 2

    [retrieved] = talk.send("conversation.item.retrieve", item_id="spoken")
    assert retrieved["item"]["content"] == parts


def test_output_without_a_call_is_refused():
    """
    The output of an unknown call isn't added.
    """
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1", "id": "o"}
    talk = Talk(SCENARIO)

    refused = error(talk.send("conversation.item.create", item=output))

    assert (refused["code"], refused["param"]) == ("invalid_tool_call_id", "item.call_id")
    assert "error" in types(talk.send("conversation.item.retrieve", item_id="o"))


def test_bad_audio_of_an_item_has_its_place():
    """
    The error of an audio part says which part of the item it was.
    """
    talk = Talk(SCENARIO)
    content = [{"type": "input_text", "text": "Hi"}, {"type": "input_audio", "audio": "?"}]
    item = {"type": "message", "role": "user", "content": content}

    refused = error(talk.send("conversation.item.create", item=item))

    assert refused["param"] == "item.content[1].audio"


def test_late_call_catches_up_in_order():
    """
    Due events come before the effects of a message, even if the message is read late.
    """
    talk = Talk(SCENARIO)
    talk.say("Hi")
    talk.ask()
    talk.now_ms += 60_000

    frames = talk.say("Are you there?")

    assert types(frames)[-3:] == [
        "response.done",
        "conversation.item.added",
        "conversation.item.done",
    ]


def test_time_never_goes_back():
    """
    A time before the last one does no harm.
    """
    service = Service(SCENARIO)
    service.advance(1_000)
    service.receive('{"type": "response.create"}', 0)

    assert service.deadline == 1_300


def test_session_may_have_an_end():
    """
    When its time is over, a session says so, and the connection is closed.
    """
    service = Service(SCENARIO, max_seconds=60, wall_time=1_000)
    [created] = service.advance(0)
    assert created.frame["session"]["expires_at"] == 1_060
    assert service.idle_deadline == 60_000

    expired, close = service.advance(60_000)

    assert expired.frame["error"]["code"] == "session_expired"
    assert isinstance(close, Close)
    assert close.code == 1001


def test_item_of_an_earlier_session_is_welcome():
    """
    A client that puts back the items of a session of the same seed meets no second one.
    """
    first, again = Talk(SCENARIO), Talk(SCENARIO)
    first.ask()
    first.finish()
    item = first.last["response"]["output"][0]
    part = {"type": "output_text", "text": item["content"][0]["transcript"]}
    assert len(again.send("conversation.item.create", item={**item, "content": [part]})) == 2

    again.ask()

    assert one(again.finish(), "response.done")["response"]["output"][0]["id"] != item["id"]


def test_session_of_another_type_is_refused_and_closed():
    """
    A conversation can't become a transcription: an error, and the close code 4000.
    """
    service = Talk(model="gpt-realtime").service
    update = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    }
    message = json.dumps({"type": "session.update", "session": update})

    told, closed = service.receive(message, 0)

    assert told.frame["error"]["code"] == "invalid_model"
    assert closed == Close(4000, "invalid_request_error.invalid_model")
