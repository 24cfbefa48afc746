"""
Withheld data isn't written; and the rest can still be read.
"""

from __future__ import annotations

import json

import pytest

from eventbus.codec import from_plain, packs, to_plain
from eventbus.events import (
    EVENT_TYPES,
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.exceptions import RemoteException
from eventbus.journal import (
    CallRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    SentRecord,
    Withholding,
)
from eventbus.wire.openai import OpenAIRealtimeDecoder

SECRET = "sk-abcdefghijklmnop"


def frame(withholding, plain):
    data, problem = withholding.of_frame(json.dumps(plain).encode(), "json")
    assert problem is None
    return json.loads(data)


def event(withholding, original):
    document, problem = withholding.of_document(to_plain(original))
    assert problem is None
    return from_plain(document)


# --- the short way ---------------------------------------------------------------------------

APPEND = b'{"type":"input_audio_buffer.append","audio":"QUJDQUJD"}'
INLINE = (
    b'{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000",'
    b'"data":"QUJDQUJD"}}]}}}'
)
ODD = [
    APPEND,
    b'{"audio":"QUJDQUJD","type":"input_audio_buffer.append"}',
    INLINE,
    b'{"type":"response.output_audio.delta","delta":"QUJD","more":{"delta":"QUJD"}}',
    b'{"type":"response.output_audio.delta","delta":"QUJD","delta":"QUJD"}',
    b'{"type":"response.output_audio.delta","delta":"QUJD","api_key":"sk-0123456789"}',
    b'{"type":"response.output_audio.delta","delta":"QU\\"JD","x":"\\u0041"}',
    b'{"type":"response.output_text.delta","delta":"say \\"delta\\":\\"x\\" or {","item_id":"i"}',
    b'{"type":"x","name":"play","status":"done","text":"words","n":1,"none":null,"list":["words"]}',
    b'{"type":"x?key=0123456789","text":"words"}',
    b'{"type":"x","arguments":"{\\"phone\\":\\"0123\\"}","output_id":"i"}',
    b'{"type":"response.function_call_arguments.delta","delta":"{\\"pho","item_id":"i"}',
    b'{"type":"x","ph\\u006fne":"0123"}',
    b'["words"]',
    b'{"type": "response.output_audio.delta", "delta": "QUJD", "item_id": "i"}',
    b'{"type":"response.output_audio.delta","delta":null,"item_id":"QUJD"}',
    b'{"type":"response.output_audio.delta","delta":["QUJD"],"item_id":"i"}',
]


@pytest.mark.parametrize(
    "options",
    [{"audio": False}, {"content": False}, {"redact": ["phone"]}, {"redact": ["delta", "item.id"]},
     {"audio": False, "redact": ["transcript"]}],
    ids=str,
)  # fmt: skip
def test_short_way_leads_to_the_same_frame(checkout, options):
    """
    A frame that is cut by its bytes has the same content as one that is taken apart.
    """
    withholding, short = Withholding(**options), 0
    folder = checkout / "tests" / "data"
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    for line in (*lines, *ODD):
        left = withholding._cut(line)  # there is no other way to tell the ways apart
        if left is not None:
            short += 1
            assert json.loads(left) == json.loads(withholding._taken_apart(line)[0]), line

    assert short > 5


def test_audio_is_cut_out_without_taking_the_frame_apart():
    """
    The frames that come fifty times a second take the short way in each dialect.
    """
    delta = b'{"type":"response.audio.delta","item_id":"i","delta":"QUJDQUJD"}'
    spaced = b'{"type": "response.audio.delta", "item_id": "i", "delta": "QUJDQUJD"}'
    for frame in (delta, spaced, APPEND, INLINE):
        assert Withholding(audio=False)._cut(frame) == frame.replace(b"QUJDQUJD", b"")
        assert Withholding(redact=["phone"])._cut(frame) == frame
    for frame in (delta, APPEND):
        assert b"QUJD" not in Withholding(content=False)._cut(frame)


# --- by default ------------------------------------------------------------------------------


def test_frame_without_secrets_stays_as_it_came():
    """
    By default a frame is written byte for byte, however it is spaced.
    """
    data = b'{ "type":  "response.done" }'

    assert Withholding().of_frame(data, "json") == (data, None)


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "AUTHORIZATION", "Proxy-Authorization", "api_key",
     "api-key", "x-api-key", "X-Api-Key", "openai_api_key", "client_secret"],
)  # fmt: skip
def test_secrets_are_never_written(name):
    """
    A key in a header or a setting is never recorded.
    """
    tool = {"type": "mcp", "server_url": "https://x", "headers": {name: SECRET}, name: SECRET}
    plain = {"type": "session.update", "session": {"tools": [tool]}}
    withholding = Withholding()

    sent = withholding.apply(SentRecord(data=json.dumps(plain).encode()))
    written = event(withholding, RealtimeModelSessionUpdatedEvent(plain["session"], created=False))

    assert SECRET not in sent.data.decode()
    assert SECRET not in repr(written)
    assert sent.message["session"]["tools"][0]["server_url"] == "https://x"


def test_secret_that_is_an_object_goes_as_a_whole():
    """
    Everything in a secret is one.
    """
    plain = {"client_secret": {"value": SECRET}}

    assert frame(Withholding(), plain) == {"client_secret": {}}


@pytest.mark.parametrize("name", ["response.audio.delta", "input_audio_buffer.append"])
def test_error_about_audio_is_an_error(name):
    """
    A frame that names a piece of audio is not one, and its key is cut out.
    """
    error = {"param": name, "message": f"Incorrect API key provided: {SECRET}"}
    for told in ({"type": "error", "error": error}, {"type": "error", **error}):
        assert SECRET not in str(frame(Withholding(), told))
        data, _, _ = Withholding().of_raw_frame(json.dumps(told).encode(), None)
        assert SECRET.encode() not in data


def test_keys_in_errors_are_cut_out():
    """
    Text that looks like a key in an error isn't written, wherever errors are.
    """
    message = f"Incorrect key: {SECRET}, header was Bearer abc.def-ghi"
    error = Withholding().of_error(RemoteException("E", message, f"... {message}"))
    frames = Withholding().of_plain({"type": "error", "error": {"message": message}})
    failure = Withholding(audio=False)
    crash = event(failure, RealtimeModelExceptionEvent(ValueError(message)))

    assert error.message == "Incorrect key: sk-..., header was Bearer ..."
    for text in (str(error), error.traceback_text, str(frames), str(crash.exception)):
        assert "mnop" not in text
        assert "abc.def" not in text


@pytest.mark.parametrize(
    "url",
    ["wss://x/ws?key={}&v=1", "https://x/?a=1&api_key={}", "https://x/?access_token={}#top"],
)
def test_keys_in_urls_are_cut_out(url):
    """
    A key in a URL isn't written: neither in an error, nor in a field that has the URL.
    """
    url = url.format("0123-secret")
    error = Withholding().of_error(RemoteException("E", f"{url!r} can't be reached"))

    assert error.message == f"{url!r} can't be reached".replace("0123-secret", "...")
    assert frame(Withholding(), {"server_url": url}) == {
        "server_url": url.replace("0123-secret", "...")
    }


def test_text_that_may_have_secrets_is_withheld():
    """
    A frame that can't be taken apart isn't written, if there could be a secret in it.
    """
    data, problem = Withholding().of_frame(b"Authorization: Bearer x", "str")

    assert data == b""
    assert "isn't JSON" in problem
    assert Withholding().of_frame(b"hello", "str") == (b"hello", None)


# --- audio -----------------------------------------------------------------------------------


def test_audio_can_be_left_out_everywhere():
    """
    Without audio there is none in events, frames and messages; texts are all there.
    """
    withholding = Withholding(audio=False)
    delta = {"type": "response.output_audio.delta", "item_id": "i-1", "delta": "AAAA"}
    text = {"type": "response.output_audio_transcript.delta", "delta": "hello"}
    append = {"type": "input_audio_buffer.append", "audio": "AAAA"}
    item = {"item": {"content": [{"type": "input_audio", "audio": "AAAA", "transcript": "hi"}]}}
    inline = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}}
    spoken = {"mime_type": "audio/pcm;rate=16000", "data": "AAAA"}

    assert frame(withholding, delta) == delta | {"delta": ""}
    assert frame(withholding, text) == text
    assert frame(withholding, append) == append | {"audio": ""}
    assert "AAAA" not in str(frame(withholding, item))
    assert "'hi'" in str(frame(withholding, item))
    assert frame(withholding, inline)["inlineData"]["data"] == ""
    assert "AAAA" not in str(frame(withholding, {"realtime_input": {"audio": spoken}}))
    assert "AAAA" not in str(frame(withholding, {"realtimeInput": {"mediaChunks": [spoken]}}))
    audio = RealtimeModelAudioEvent(b"\x01\x02", "r-1", "i-1", 0)
    assert event(withholding, audio) == RealtimeModelAudioEvent(b"", "r-1", "i-1", 0)


def test_length_of_audio_that_is_left_out_is_kept():
    """
    A record of an audio event still says how long the audio was, and loads as silence.
    """
    audio = RealtimeModelAudioEvent(b"\x01\x02", "r-1", "i-1", 0)
    record = EventRecord(class_name="x", type_name="audio", document=packs(audio), audio_bytes=2)

    written = Withholding(audio=False).apply(record)

    assert written.audio_bytes == 2
    assert written.event == RealtimeModelAudioEvent(b"\0\0", "r-1", "i-1", 0)


# --- content ---------------------------------------------------------------------------------


def test_without_content_names_are_left():
    """
    Ids, types and states stay; texts and audio go.
    """
    withholding = Withholding(content=False)
    plain = {
        "type": "response.done",
        "event_id": "e-1",
        "response": {
            "id": "r-1",
            "status": "completed",
            "output": [{"role": "assistant", "content": [{"type": "audio", "transcript": "Hi!"}]}],
            "usage": {"total_tokens": 7},
        },
    }

    written = frame(withholding, plain)

    assert "Hi!" not in str(written)
    assert written["response"]["output"][0]["content"] == [{"type": "audio", "transcript": ""}]
    assert written["response"]["usage"] == {"total_tokens": 7}
    assert (written["event_id"], written["response"]["id"]) == ("e-1", "r-1")
    call = RealtimeModelToolCallEvent("weather", "c-1", '{"city": "Ulm"}')
    assert event(withholding, call) == RealtimeModelToolCallEvent("weather", "c-1", "")
    audio = RealtimeModelAudioEvent(b"\x01\x02", "r-1", "i-1", 0)
    assert event(withholding, audio).data == b""


def test_without_content_errors_tell_their_class():
    """
    The text of an exception may quote the caller, so only its class is left.
    """
    error = RemoteException("shop.OutOfStock", "no more soup for Bob", "Traceback ... Bob")

    record = Withholding(content=False).apply(CallRecord(state="crashed", error=error))

    assert record.error == RemoteException("shop.OutOfStock", "")


def test_whole_vocabulary_can_be_read_without_its_content(checkout):
    """
    Frames and events of every type are as they were, content apart: nothing fails to load.
    """
    withholding = Withholding(content=False)
    path = checkout / "tests" / "data" / "openai_ga_types.jsonl"
    decoder, bare = OpenAIRealtimeDecoder(), OpenAIRealtimeDecoder()
    for line in path.read_bytes().splitlines():
        data, problem = withholding.of_frame(line, "json")
        assert problem is None
        expected = [type(each) for each in decoder.decode(line)]
        assert [type(each) for each in bare.decode(data)] == expected
    for each in decoder.decode(line)[1:]:
        assert type(event(withholding, each)) in EVENT_TYPES.values()


def test_tagged_values_are_content():
    """
    Dates and the like are texts as well.
    """
    document = {"$v": 1, "type": "other", "data": {"$date": "2001-02-03"}}

    assert Withholding(content=False).of_plain(document) == {"$v": 1, "type": "other", "data": ""}


# --- redact ----------------------------------------------------------------------------------


def test_fields_are_redacted_by_name_and_by_path():
    """
    A name counts at any depth, a path at its end; an empty value of the same type is left.
    """
    withholding = Withholding(redact=["transcript", "session.instructions", "usage"])
    plain = {
        "session": {"instructions": "Be kind.", "voice": "ash"},
        "response": {"instructions": "Be brief.", "usage": {"total_tokens": 7}},
        "content": [{"transcript": "Hi!", "text": "Ho!"}],
    }

    assert withholding.redacted == ("transcript", "session.instructions", "usage")
    assert frame(withholding, plain) == {
        "session": {"instructions": "", "voice": "ash"},
        "response": {"instructions": "Be brief.", "usage": {}},
        "content": [{"transcript": "", "text": "Ho!"}],
    }
    delta = RealtimeModelTranscriptDeltaEvent("i-1", "hello", "r-1")
    assert event(Withholding(redact=["delta"]), delta).delta == ""


def test_function_redacts():
    """
    A function gets plain data, and its result is written, less the other omissions.
    """

    def digits(data):
        return data | {"text": "".join("#" if c.isdigit() else c for c in data["text"])}

    one = Withholding(redact=digits)
    both = Withholding(redact=[digits, "name"])

    assert frame(one, {"text": "card 4000", "name": "Bob"}) == {"text": "card ####", "name": "Bob"}
    assert frame(both, {"text": "card 4000", "name": "Bob"}) == {"text": "card ####", "name": ""}
    assert both.redacted[0].endswith("digits")


@pytest.mark.parametrize("name", ["arguments", "output"])
def test_what_tools_are_given_and_give_is_looked_into(name):
    """
    A field is redacted in the JSON of a tool call as anywhere else; other JSON stays as it came.
    """
    withholding = Withholding(redact=["phone", f"{name}.city"])
    text = '{"phone": "555", "city": "Ulm", "to": [{"phone": "556", "name": "Ada"}]}'
    other = '{ "name":  "Ada" }'

    got = frame(withholding, {"item": {name: text}, "other": {name: other}})

    assert json.loads(got["item"][name]) == {
        "phone": "",
        "city": "",
        "to": [{"phone": "", "name": "Ada"}],
    }
    assert got["other"][name] == other


def test_secrets_in_tool_arguments_are_never_written():
    """
    By default, too, a secret goes from the arguments of a tool, in a frame and in its event.
    """
    text = json.dumps({"api_key": SECRET})
    call = RealtimeModelToolCallEvent("login", "c-1", text)

    assert frame(Withholding(), {"arguments": text}) == {"arguments": '{"api_key":""}'}
    assert event(Withholding(), call).arguments == '{"api_key":""}'


def test_pieces_of_tool_arguments_are_withheld_as_soon_as_a_field_is_redacted():
    """
    No name can be found in a piece, nor in arguments that are no JSON; plain output stays.
    """
    withholding = Withholding(redact=["phone"])
    plain = {"type": "response.function_call_arguments.delta", "delta": '": "555'}
    piece = RealtimeModelToolCallDeltaEvent("c-1", "i-1", '": "555', "r-1")

    assert frame(withholding, plain)["delta"] == ""
    assert event(withholding, piece).delta == ""
    assert frame(withholding, {"arguments": '{"phone": "55', "output": "sunny"}) == {
        "arguments": "",
        "output": "sunny",
    }
    assert frame(Withholding(audio=False), plain) == plain


@pytest.mark.parametrize(
    "returned",
    [None, "text", [1], {}, {"a": object()}, object()],
    ids=["nothing", "text", "list", "empty", "no data", "object"],
)
def test_function_that_returns_no_mapping_has_failed(returned):
    """
    A function that has forgotten to return something hasn't redacted: nothing is written, and the
    record doesn't look like that of an event which only repeats another one.
    """
    withholding = Withholding(redact=lambda _: returned)
    typed = withholding.apply(EventRecord(document={"type": "other", "data": 1}))
    raw = withholding.apply(FrameRecord(data=b'{"text": "Bob"}'))

    assert (typed.document, typed.is_repeat) == (None, False)
    assert "failed" in typed.problem
    assert raw.data == b"{}" if returned == {} else "failed" in raw.problem


def test_failures_of_handlers_are_redacted_like_the_events_that_they_become():
    """
    Functions and names see a handler's exception; if that fails, only its class is told.
    """

    def digits(data):
        return json.loads(json.dumps(data).replace("555", "###"))

    error = RemoteException("shop.Lost", "555 hung up", "Traceback 555")
    failed = Withholding(redact=lambda _: None).of_error(error)

    assert Withholding(redact=digits).of_error(error) == RemoteException(
        "shop.Lost", "### hung up", "Traceback ###"
    )
    assert Withholding(redact=["exception.message"]).of_error(error).message == ""
    assert failed.type_name == "shop.Lost"
    assert "555" not in str(failed) + failed.traceback_text


def test_function_that_fails_lets_nothing_pass():
    """
    Data that could not be redacted is withheld as a whole, and the record says so.
    """

    def fail(data):
        raise ValueError("boom")

    withholding = Withholding(redact=fail)
    record = withholding.apply(FrameRecord(data=b'{"text": "Bob"}'))
    typed = withholding.apply(EventRecord(document=packs(RealtimeModelAudioEvent(b"", "", "", 0))))

    assert record.data == b""
    assert typed.document is None
    assert "failed" in record.problem
    assert "failed" in typed.problem


def test_what_is_no_json_is_withheld_as_soon_as_anything_is():
    """
    A frame that can't be taken apart can't be redacted.
    """
    withholding = Withholding(redact=["text"])

    for data, form in ((b"text: Bob", "str"), (b'{"text": "Bob', "json"), (b"\xff", "bytes")):
        assert withholding.of_frame(data, form)[0] == b""


def test_one_string_is_no_list_of_names():
    """
    ``redact="text"`` would redact t, e and x: it is refused.
    """
    with pytest.raises(TypeError, match=r"redact=\['text'\]"):
        Withholding(redact="text")


def test_other_records_stay_as_they_are():
    """
    There is nothing to withhold in a record without content.
    """
    withholding = Withholding(content=False)

    for record in (GapRecord(reason="full"), CallRecord(handler="play"), EventRecord()):
        assert withholding.apply(record) == record


def test_key_in_the_message_of_a_frame_is_cut_out():
    """
    A service quotes the key that it doesn't take; nothing else in the frame has to hint at one.
    """
    frame = b'{"type":"error","error":{"message":"I do not know sk-proj-abcdefgh"}}'
    harmless = b'{"type":"error", "error":{"message":"It was a task-force."}}'

    assert json.loads(Withholding().of_frame(frame, "json")[0])["error"] == {
        "message": "I do not know sk-..."
    }
    assert Withholding().of_frame(harmless, "json") == (harmless, None)


@pytest.mark.parametrize("name", ["audio", "input_audio"])
def test_audio_in_an_object_of_its_own_is_left_out(name):
    """
    Some services put it beside its format.
    """
    plain = {"content": [{"type": name, name: {"data": "AAAA", "format": "wav"}}]}

    assert Withholding(audio=False).of_plain(plain) == {
        "content": [{"type": name, name: {"data": "", "format": "wav"}}]
    }


def test_what_users_fill_in_is_content_whatever_it_is_called():
    """
    A name among the variables of a prompt is content; so is an application's description of its
    work.
    """
    answer = {"id": "c-1", "name": "greet", "response": {"id": "Ada", "status": "Ada"}}
    plain = {
        "metadata": {"name": "Ada", "user_id": "Ada"},
        "prompt": {"id": "p-1", "variables": {"name": {"type": "input_text", "text": "Ada"}}},
        "context": "while Ada spoke",
        "toolCall": {"functionCalls": [{"name": "greet", "args": {"name": "Ada"}}]},
        "toolResponse": {"functionResponses": [answer]},
        "arguments": {"reason": "Ada"},
        "output": {"name": "Ada"},
    }

    got = Withholding(content=False).of_plain(plain)

    assert "Ada" not in str(got)
    assert got["prompt"]["id"] == "p-1"
    assert got["toolCall"]["functionCalls"][0]["name"] == "greet"
    told = got["toolResponse"]["functionResponses"][0]
    assert (told["id"], told["name"]) == ("c-1", "greet")
