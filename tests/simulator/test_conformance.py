"""
The service keeps to the protocol for any messages of a client, in any order.

`tests.simulator.talk.Talk` has the SDK check each event; here a model of the session, made of the
events alone, checks that they fit together.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventbus.simulator import Scenario
from eventbus.simulator._service.validation import CLIENT_MESSAGES
from eventbus.simulator.scenario import Call, Turn
from tests.simulator.talk import Talk, silence, tone

SCENARIO = Scenario(
    turns=[
        Turn(say="Hello, and welcome to the place where nobody speaks."),
        Turn(hear="The weather, please.", call=[Call("weather", {"city": "Oslo"})]),
        Turn(say="One moment.", call=[Call("a", {}), Call("b", {})]),
        Turn(),
    ]
)
SPEECH, SILENCE = tone(400), silence(700)

# What a client's field may be, and what none may be.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(10**400)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["auto", "none", "inf", "audio/pcm", "server_vad"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "id", "audio", "input", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
DETECTIONS = (
    st.none()
    | st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": st.sampled_from([0, 0.5, 1]),
            "prefix_padding_ms": st.sampled_from([0, 300, 2_000]),
            "silence_duration_ms": st.sampled_from([0, 200, 500]),
            "idle_timeout_ms": st.sampled_from([None, 5_000]),
            "create_response": st.booleans(),
            "interrupt_response": st.booleans(),
        },
    )
    | st.fixed_dictionaries({"type": st.just("semantic_vad")})
)
FORMATS = st.sampled_from([{"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}])
SESSIONS = st.fixed_dictionaries(
    {"type": st.just("realtime")},
    optional={
        "instructions": st.text(max_size=20),
        "output_modalities": st.sampled_from([["text"], ["audio"], ["audio", "text"]]),
        "max_output_tokens": st.sampled_from([1, 10, 4096, "inf"]),
        "tracing": st.none() | st.fixed_dictionaries({"metadata": JSON}),
        "tools": st.sampled_from([[], [{"type": "function", "name": "weather"}]]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": FORMATS,
                        "turn_detection": DETECTIONS,
                        "transcription": st.sampled_from([None, {"model": "whisper-1"}]),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {}, optional={"format": FORMATS, "voice": st.sampled_from(["ash", "echo"])}
                ),
            },
        ),
    },
)
CONTENTS = {
    "user": [{"type": "input_text", "text": "Hi"}, {"type": "input_audio", "audio": "AAA="}],
    "assistant": [{"type": "output_text", "text": "Hi"}, {"type": "output_audio"}],
    "system": [{"type": "input_text", "text": "Be kind."}],
}


class Conformance(RuleBasedStateMachine):
    """
    A client that does anything, and its knowledge from the events.
    """

    @initialize()
    def connect(self):
        self.talk = Talk(SCENARIO)
        self.seen = 0
        self.event_ids: set[str] = set()
        self.order: list[str] = []
        self.gone: list[str] = []
        self.calls: list[str] = []
        self.responses: dict[str, str] = {}
        self.active: str | None = None
        self.speech: dict[str, int] = {}
        self.position_ms = 0
        self.check()

    # --- what the client does ---------------------------------------------------------------

    @rule(session=SESSIONS)
    def update(self, session):
        for frame in self.talk.send("session.update", session=session):
            msgspec.json.encode(frame)  # as the server does

    @rule(audio=st.sampled_from([SPEECH, SILENCE, SPEECH + SILENCE, SILENCE + SPEECH, b""]))
    def append(self, audio):
        self.talk.append(audio)

    @rule(what=st.sampled_from(["commit", "clear"]))
    def end_turn(self, what):
        self.talk.send(f"input_audio_buffer.{what}")

    @rule(data=st.data(), role=st.sampled_from(list(CONTENTS)))
    def create_message(self, data, role):
        content = data.draw(st.lists(st.sampled_from(CONTENTS[role]), max_size=2))
        item = {"type": "message", "role": role, "content": content}
        if data.draw(st.booleans()):
            item["id"] = data.draw(self.item_ids())
        after = data.draw(st.none() | st.just("root") | self.item_ids())
        self.talk.send("conversation.item.create", item=item, previous_item_id=after)

    @rule(data=st.data())
    def create_output(self, data):
        call_id = data.draw(st.sampled_from([*self.calls, "call_unknown"]))
        item = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
        self.talk.send("conversation.item.create", item=item)

    @rule(data=st.data(), what=st.sampled_from(["delete", "retrieve"]))
    def touch_item(self, data, what):
        self.talk.send(f"conversation.item.{what}", item_id=data.draw(self.item_ids()))

    @rule(data=st.data(), end_ms=st.sampled_from([0, 1, 100, 100_000]))
    def truncate(self, data, end_ms):
        index = data.draw(st.sampled_from([0, 0, 0, 1]))
        self.talk.send(
            "conversation.item.truncate",
            item_id=data.draw(self.item_ids()),
            content_index=index,
            audio_end_ms=end_ms,
        )

    @rule(data=st.data())
    def respond(self, data):
        response: dict[str, Any] = {}
        if data.draw(st.booleans()):
            response["conversation"] = data.draw(st.sampled_from(["auto", "none"]))
        if data.draw(st.booleans()):
            item_id = data.draw(self.item_ids())
            response["input"] = [{"type": "item_reference", "id": item_id}]
        if data.draw(st.booleans()):
            response["output_modalities"] = [data.draw(st.sampled_from(["text", "audio"]))]
            response["metadata"] = {"a": "b"}
        self.talk.send("response.create", response=response)

    @rule(data=st.data())
    def cancel(self, data):
        response_id = data.draw(st.sampled_from([None, *self.responses, "resp_unknown"]))
        self.talk.send("response.cancel", response_id=response_id)

    @rule(duration_ms=st.sampled_from([1, 250, 1_000, 10_000]))
    def wait(self, duration_ms):
        self.talk.wait(duration_ms)

    # --- what no client should do -----------------------------------------------------------

    @rule(data=st.data(), type_=st.sampled_from([*CLIENT_MESSAGES, "response.sing"]))
    def send_nonsense(self, data, type_):
        fields = ["session", "item", "audio", "item_id", "response", "event_id", "what"]
        message = data.draw(st.dictionaries(st.sampled_from(fields), JSON, max_size=3))
        self.talk.send_text(json.dumps({"type": type_, **message}))

    @rule(text=st.text(max_size=20) | st.binary(max_size=5) | JSON.map(json.dumps))
    def send_garbage(self, text):
        assert [frame["type"] for frame in self.talk.send_text(text)][-1:] == ["error"]

    # --- what the client can tell -----------------------------------------------------------

    def item_ids(self) -> st.SearchStrategy[str]:
        return st.sampled_from([*self.order, *self.gone, "item_unknown"])

    @invariant()
    def check(self):
        """
        Each event fits those before it.
        """
        frames = self.talk.frames[self.seen :] if hasattr(self, "talk") else []
        self.seen += len(frames)
        for frame in frames:
            assert frame["event_id"] not in self.event_ids
            self.event_ids.add(frame["event_id"])
            look = getattr(self, "on_" + frame["type"].replace(".", "_"), None)
            if look is not None:
                look(frame)
            if "response_id" in frame:
                assert self.responses[frame["response_id"]] == "in_progress"

    def on_conversation_item_added(self, frame):
        item_id, previous = frame["item"]["id"], frame["previous_item_id"]
        assert item_id not in self.order
        self.order.insert(self.order.index(previous) + 1 if previous else 0, item_id)
        if frame["item"]["type"] == "function_call":
            self.calls.append(frame["item"]["call_id"])

    def on_conversation_item_done(self, frame):
        index = self.order.index(frame["item"]["id"])
        assert frame["previous_item_id"] == (self.order[index - 1] if index else None)

    def on_conversation_item_deleted(self, frame):
        self.order.remove(frame["item_id"])
        self.gone.append(frame["item_id"])

    def on_conversation_item_truncated(self, frame):
        assert frame["item_id"] in self.order

    def on_conversation_item_retrieved(self, frame):
        assert frame["item"]["id"] in self.order

    def on_conversation_item_input_audio_transcription_delta(self, frame):
        assert frame["item_id"] in self.order

    def on_conversation_item_input_audio_transcription_completed(self, frame):
        assert frame["item_id"] in self.order

    def on_input_audio_buffer_committed(self, frame):
        assert frame["previous_item_id"] == (self.order[-1] if self.order else None)
        assert frame["item_id"] not in self.order

    def on_input_audio_buffer_speech_started(self, frame):
        assert frame["audio_start_ms"] >= self.position_ms
        self.speech[frame["item_id"]] = self.position_ms = frame["audio_start_ms"]

    def on_input_audio_buffer_speech_stopped(self, frame):
        assert frame["audio_end_ms"] >= self.speech[frame["item_id"]]
        self.position_ms = frame["audio_end_ms"]

    def on_input_audio_buffer_timeout_triggered(self, frame):
        assert frame["audio_end_ms"] >= frame["audio_start_ms"]

    def on_response_created(self, frame):
        response = frame["response"]
        assert response["id"] not in self.responses
        self.responses[response["id"]] = "in_progress"
        if response["conversation_id"] is not None:
            assert self.active is None
            self.active = response["id"]

    def on_response_done(self, frame):
        response = frame["response"]
        assert self.responses[response["id"]] == "in_progress"
        self.responses[response["id"]] = response["status"]
        assert all(item["status"] != "in_progress" for item in response["output"])
        if self.active == response["id"]:
            self.active = None

    def teardown(self):
        if not hasattr(self, "talk"):
            return
        self.talk.finish()
        self.check()
        assert "in_progress" not in self.responses.values()


# The machine's name in reports, and how much of it a run of the suite can afford.
TestConformance = Conformance.TestCase
TestConformance.pytestmark = [pytest.mark.slow]
TestConformance.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
