"""
The session's settings, and the effect of updates on them.
"""

from __future__ import annotations

import pytest

from eventbus.audio import G711_ULAW, PCM16
from eventbus.simulator._service.checks import RequestError
from eventbus.simulator._service.settings import Settings
from eventbus.simulator._vad import VadSettings


@pytest.fixture
def settings():
    return Settings("sess_1", None, 1_800_000_000, VadSettings())


def update(settings, *, voice_is_fixed=False, **changes):
    settings.update({"type": "realtime", **changes}, voice_is_fixed=voice_is_fixed)
    return settings.to_session()


def test_update_changes_what_it_names_only(settings):
    """
    A key that an update doesn't name stays as it was, also deep inside.
    """
    before = settings.to_session()

    after = update(
        settings, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9}}}
    )

    assert after["audio"]["input"]["turn_detection"].pop("threshold") == 0.9
    before["audio"]["input"]["turn_detection"].pop("threshold")
    assert after == before


def test_other_detection_begins_with_its_defaults(settings):
    """
    Semantic VAD inherits nothing of server VAD, and turning detection off and on forgets it.
    """
    semantic = {"type": "semantic_vad"}
    after = update(settings, audio={"input": {"turn_detection": semantic}})
    assert after["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }

    update(settings, audio={"input": {"turn_detection": None}})
    assert settings.turn_detection is None

    after = update(settings, audio={"input": {"turn_detection": {"type": "server_vad"}}})
    assert after["audio"]["input"]["turn_detection"]["threshold"] == 0.5


def test_scenario_sets_the_first_detection():
    """
    A session begins with the turn detection of its scenario.
    """
    vad = VadSettings(threshold=0.9, prefix_padding_ms=0, silence_duration_ms=900)
    settings = Settings("sess_1", None, 0, vad)

    assert settings.turn_detection["silence_duration_ms"] == 900


def test_format_is_replaced_as_a_whole(settings):
    """
    µ-law has no rate of PCM left in it.
    """
    after = update(settings, audio={"output": {"format": {"type": "audio/pcmu"}}})

    assert after["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert (settings.output_format, settings.input_format) == (G711_ULAW, PCM16)


def test_transcription_is_merged_while_it_is_on(settings):
    """
    Another language keeps the model; off and on again begins anew.
    """

    def transcription(value):
        return update(settings, audio={"input": {"transcription": value}})["audio"]["input"]

    transcription({"model": "whisper-1"})
    assert transcription({"language": "de"})["transcription"]["model"] == "whisper-1"
    assert settings.transcription is not None

    transcription(None)
    assert settings.transcription is None
    assert transcription({"language": "de"})["transcription"]["model"] is None


def test_voice_is_fixed_once_it_was_heard(settings):
    """
    After assistant audio, another voice is refused, and the same one is no change.
    """
    assert update(settings, audio={"output": {"voice": "ash"}})["audio"]["output"]["voice"] == "ash"
    update(settings, voice_is_fixed=True, audio={"output": {"voice": "ash"}})

    with pytest.raises(RequestError) as raised:
        update(settings, voice_is_fixed=True, audio={"output": {"voice": "echo"}})

    assert raised.value.code == "cannot_update_voice"
    assert raised.value.param == "session.audio.output.voice"


def test_model_of_the_url_stays(settings):
    """
    A model that was named in the URL can't change; one that wasn't can be named once more.
    """
    assert update(settings, model="gpt-realtime-mini")["model"] == "gpt-realtime-mini"
    named = Settings("sess_2", "gpt-realtime", 0, VadSettings())
    update(named, model="gpt-realtime")

    with pytest.raises(RequestError) as raised:
        update(named, model="gpt-realtime-mini")

    assert raised.value.param == "session.model"


@pytest.mark.parametrize("modalities", [[], ["audio", "text"], ["text", "text"]])
def test_one_modality_at_a_time(settings, modalities):
    """
    Output is audio or text; speech has its transcript anyway.
    """
    with pytest.raises(RequestError) as raised:
        update(settings, output_modalities=modalities)

    assert raised.value.param == "session.output_modalities"


def test_refused_update_changes_nothing(settings):
    """
    An update is done as a whole, or not at all.
    """
    before = settings.to_session()

    with pytest.raises(RequestError):
        update(settings, instructions="new", output_modalities=[])

    assert settings.to_session() == before


def test_session_object_is_the_callers(settings):
    """
    Changes of the given and of the returned objects don't change the settings.
    """
    tools = [{"type": "function", "name": "f"}]
    update(settings, tools=tools)["tools"].clear()
    tools.clear()

    assert settings.tools == [{"type": "function", "name": "f"}]


def refused(settings, **changes):
    """
    Return the code and the field of the refusal of an update.
    """
    with pytest.raises(RequestError) as raised:
        update(settings, **changes)
    return raised.value.code, raised.value.param


@pytest.mark.parametrize(
    ("model", "is_refused"),
    [
        ("gpt-realtime", True),
        ("gpt-realtime-mini", True),
        ("gpt-realtime-mini-2025-12-15", True),
        ("gpt-4o-realtime-preview", True),
        ("gpt-realtime-2", False),
        ("gpt-realtime-2.1-mini", False),
        ("my-deployment", False),
        (None, False),
    ],
)
def test_reasoning_is_refused_where_the_model_has_none(model, is_refused):
    """
    Models before gpt-realtime-2 don't reason; of a name that isn't known, nobody can tell.
    """
    settings = Settings("sess_1", model, 0, VadSettings())
    reasoning = {"effort": "low"}
    if is_refused:
        code = ("unsupported_parameter", "session.reasoning")
        assert refused(settings, reasoning=reasoning) == code
    else:
        assert update(settings, reasoning=reasoning)["reasoning"] == reasoning


def test_tracing_stays_once_it_is_on(settings):
    """
    Tracing can be turned on and asked for again, and neither be changed nor turned off.
    """
    update(settings, tracing=None)
    update(settings, tracing="auto")
    update(settings, tracing="auto")

    for other in ({"workflow_name": "w"}, None):
        assert refused(settings, tracing=other) == ("cannot_update_tracing", "session.tracing")


def test_choice_of_a_tool_that_is_not_offered(settings):
    """
    A tool can be chosen once it is offered, also in the same update.
    """
    choice = {"type": "function", "name": "f"}
    assert refused(settings, tool_choice=choice) == ("invalid_value", "session.tool_choice")

    update(settings, tool_choice=choice, tools=[{"type": "function", "name": "f"}])
