"""
Accepted and refused connections, and their keys.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from eventbus.simulator._server.handshake import Admission, admit

KEY = "sk-secret"


def ask(target="/v1/realtime", headers=None, offered=(), api_key=KEY):
    return admit(target, headers or {}, offered, api_key)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("/v1/realtime?model=simulated", None),
        ("/v1/realtime?model=gpt-realtime", "gpt-realtime"),
        ("/v1/realtime?call_id=rtc_1", None),
        ("/openai/v1/realtime?model=mine", "mine"),
        ("/openai/realtime?api-version=1&deployment=mine", "mine"),
        (
            "/openai/v1/realtime?model=%ff\udcff",
            "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}",
        ),
    ],
)
def test_model_is_in_the_url(target, model):
    """
    OpenAI's parameter names the model, Azure's the deployment; a call's id leaves it open.
    """
    found = ask(target, api_key=None)

    assert (found.model, found.error) == (model, None)


@pytest.mark.parametrize("dialect", ["openai", "xai"])
@pytest.mark.parametrize(
    ("model", "is_taken"),
    [
        ("gpt-realtime", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-2025-08-28", True),
        ("gpt-4o-mini-realtime-preview-2024-12-17", True),
        ("grok-voice-latest", True),
        ("eleven_realtime_v1_mini", True),
        ("qwen3-omni-flash-realtime", True),
        ("openai/gpt-4.1-mini", True),
        ("gpt-raeltime", False),
        ("gpt-realtimes", False),
        ("gpt-4o", False),
        ("gpt-live-1", False),
        ("gpt-realtime-\N{ARABIC-INDIC DIGIT TWO}", False),
    ],
)
def test_model_is_known_by_its_family(model, is_taken, dialect):
    """
    The names of the services that speak the protocol are taken, their later models too; any other
    one is refused.
    """
    found = admit(f"/v1/realtime?model={quote(model)}&x", {}, (), None, dialect=dialect)

    assert (found.error is None) == is_taken


@pytest.mark.parametrize(
    "target",
    [
        "/openai/v1/realtime?model=my-deployment",
        "/openai/realtime?api-version=2025-04-01-preview&deployment=my-deployment",
        "/voice-live/realtime?api-version=2025-10-01&model=my-deployment",
        "/v1/realtime?intent=transcription&model=my-deployment",
    ],
)
def test_deployments_and_transcribers_have_any_name(target):
    """
    On Azure each customer has names of their own; a transcription is checked where it is set.
    """
    assert admit(target, {}, (), None).error is None


@pytest.mark.parametrize(
    ("target", "dialect"),
    [
        ("/v1/realtime?model=grok-voice-latest", "xai"),
        ("/openai/v1/realtime?model=mine", "azure"),
        ("/openai/v1/realtime?model=mine&api-version=2026-01-01", "azure"),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=mine", "azure-dated"),
        ("/voice-live/realtime?api-version=2025-10-01&model=any", "azure-voice-live"),
    ],
)
def test_path_names_the_dialect(target, dialect):
    """
    Azure's three APIs have paths of their own; any other path has the scenario's dialect.
    """
    assert admit(target, {}, (), None, dialect="xai").dialect == dialect


def test_beta_header_is_no_mistake_where_the_beta_is_spoken():
    """
    A dated version of Azure's takes the header for which OpenAI ends the session.
    """
    headers = {"openai-beta": "realtime=v1"}
    target = "/openai/realtime?api-version=2025-04-01-preview&deployment=mine"

    assert ask(target, headers, api_key=None).error is None
    assert ask("/v1/realtime?model=any", headers, api_key=None).error is not None


@pytest.mark.parametrize("target", ["/", "/v1/chat", "/v1/realtime/calls", "//[", "?/realtime"])
def test_other_paths_lead_nowhere(target):
    """
    Any other path than the realtime endpoint is a 404 that names it.
    """
    refusal = ask(target, api_key=None)

    assert refusal.status == 404
    assert "/v1/realtime" in refusal.message


@pytest.mark.parametrize(
    "client",
    [
        {"headers": {"authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": f"bearer  {KEY} "}},
        {"headers": {"api-key": KEY}},
        {"target": f"/openai/realtime?api-key={KEY}"},
        {"offered": ["realtime", f"openai-insecure-api-key.{KEY}"]},
    ],
)
def test_key_is_found_where_clients_put_it(client):
    """
    Each client's way to send its key opens the door.
    """
    assert isinstance(ask(**client), Admission)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Bearer "}, "missing_api_key"),
        ({"authorization": f"Basic {KEY}"}, "missing_api_key"),
        ({"authorization": "Bearer sk-other"}, "invalid_api_key"),
        ({"authorization": "Bearer \udcff"}, "invalid_api_key"),
    ],
)
def test_wrong_key_is_refused_and_not_repeated(headers, code):
    """
    A refusal names the problem with the key, and neither key is in it.
    """
    refusal = ask(headers=headers)

    assert (refusal.status, refusal.code) == (401, code)
    assert b"sk-" not in refusal.message.encode()


def test_without_a_key_of_its_own_everybody_may_come_in():
    """
    A simulator that was given no key asks for none.
    """
    assert isinstance(ask(headers={"authorization": "Bearer any"}, api_key=None), Admission)


def test_subprotocol_is_accepted_if_it_is_offered():
    """
    A browser that offers "realtime" gets it; nobody gets a subprotocol that it hasn't offered.
    """
    assert ask(offered=["realtime"], api_key=None).subprotocol == "realtime"
    assert ask(offered=["chat"], api_key=None).subprotocol is None
