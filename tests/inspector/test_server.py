"""
The right to see a call: the token, the Host, and the page that a request comes from.
"""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent
from eventbus.exceptions import InspectorError
from eventbus.inspector import Inspector


def get(url, path, **headers):
    """Return status, headers and body of the answer to one request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.fixture
def inspector(journal):
    with Inspector(paths=[journal], port=0) as inspector:
        while not json.loads(get(inspector.url, f"/api/calls?{token_of(inspector)}")[2])["calls"]:
            pass  # it is read while it is served
        yield inspector


def token_of(inspector):
    return urlsplit(inspector.url).query


def test_page_is_served_to_who_has_the_token(inspector):
    """
    The address that is printed opens the page, and gives its browser a cookie.
    """
    status, headers, body = get(inspector.url, f"/?{token_of(inspector)}")

    assert status == 200
    assert b"<canvas" in body
    cookie = headers["set-cookie"].partition(";")[0]
    assert get(inspector.url, "/api/calls", Cookie=cookie)[0] == 200


def test_page_names_its_modules_at_once(inspector):
    """
    A browser fetches them together, and not each when another one has told of it.
    """
    _, headers, _ = get(inspector.url, f"/?{token_of(inspector)}")
    named = [each.partition(">")[0].lstrip(" <") for each in headers["link"].split(",")]

    assert "app.js" in named
    for name in named:
        assert get(inspector.url, f"/{name}?{token_of(inspector)}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "eventbus-inspector=guess"},
        {"Cookie": "eventbus-inspector-0=é"},
    ],
)
def test_request_without_the_token_is_refused(inspector, headers):
    """
    Neither the page nor the data is for other users of the machine.
    """
    for path in ("/", "/api/calls", "/api/stream", "/api/calls/0-0/audio.wav"):
        status, answered, _ = get(inspector.url, path, **headers)
        assert status == 403
        assert "set-cookie" not in answered


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebind.example"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_are_refused_though_they_know_the_token(inspector, headers):
    """
    A web page of another site gets nothing, with any headers of its browser.
    """
    path = f"/api/calls?{token_of(inspector)}"

    assert get(inspector.url, path, **headers)[0] == 403


def test_policy_allows_no_foreign_script(inspector):
    """
    The page may load its own files and nothing else, and no other page may frame it.
    """
    _, headers, _ = get(inspector.url, f"/?{token_of(inspector)}")

    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "access-control-allow-origin" not in headers


def test_only_the_files_of_the_page_are_served(inspector):
    """
    A path leads to no other file.
    """
    for path in ("/..%2f_server.py", "/%2e%2e/_server.py", "/_server.py", "/static/app.js"):
        assert get(inspector.url, f"{path}?{token_of(inspector)}")[0] == 404


def test_unknown_call_or_record_is_404_with_a_sentence(inspector):
    """
    A wrong address is told as such.
    """
    for path in ("/api/calls/7-0", "/api/calls/x", "/api/calls/0-0/records/999999"):
        status, _, body = get(inspector.url, f"{path}?{token_of(inspector)}")
        assert status == 404
        assert json.loads(body)["error"].startswith("There is no such")


def test_wrong_filter_is_400_with_its_place(inspector):
    """
    The page can say where a filter can't be read.
    """
    path = f"/api/calls/0-0/lines?filter=dur:x&{token_of(inspector)}"
    status, _, body = get(inspector.url, path)

    assert status == 400
    assert "position" in json.loads(body)


def test_sound_can_be_asked_for_in_parts(inspector):
    """
    A browser seeks in the audio by ranges.
    """
    path = f"/api/calls/0-0/audio.wav?from=0&to=5000&{token_of(inspector)}"
    whole = get(inspector.url, path)[2]

    status, headers, part = get(inspector.url, path, Range="bytes=100-199")

    assert whole[:4] == b"RIFF"
    assert (status, part) == (206, whole[100:200])
    assert headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert get(inspector.url, path, Range=f"bytes={len(whole)}-")[0] == 416


def test_port_in_use_is_one_sentence():
    """
    The error names the port and the remedy.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InspectorError, match=rf"{port}.*give another port"):
            Inspector(EventBus(), port=port).__enter__()


def test_other_addresses_need_a_token():
    """
    Nobody shows voices to a network by accident.
    """
    with pytest.raises(InspectorError, match="give a token"):
        Inspector(EventBus(), host="0.0.0.0")  # that is refused


def test_bus_is_seen_while_it_runs():
    """
    Events of a bus are in the stream soon after they were published, and nothing is left behind.
    """
    bus = EventBus()
    with Inspector(bus, port=0) as inspector:
        parts = urlsplit(inspector.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", f"/api/stream?{parts.query}")
        response = connection.getresponse()
        bus.publish(RealtimeModelTranscriptDeltaEvent("item_1", "Hello", "resp_1"), sender="call-7")
        while b'"call-7"' not in (line := response.readline()):
            assert line or not response.closed
        connection.close()

    assert not bus.has_handlers(RealtimeModelTranscriptDeltaEvent)


async def test_environment_shows_a_bus_that_runs(monkeypatch, capsys, anyio_backend):
    """
    With EVENTBUS_INSPECT set, the address is on stderr, and the page ends with the bus.
    """
    monkeypatch.setenv("EVENTBUS_INSPECT", "0")
    bus = EventBus()
    async with bus:
        url = capsys.readouterr().err.removeprefix("eventbus inspector: ").strip()
        assert get(url, f"/?{urlsplit(url).query}")[0] == 200

    with pytest.raises(ConnectionRefusedError):
        get(url, "/")


async def test_bus_runs_though_it_cannot_be_inspected(monkeypatch, caplog, anyio_backend):
    """
    A port that is taken keeps no call from being made.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("EVENTBUS_INSPECT", str(taken.getsockname()[1]))
        async with EventBus() as bus:
            bus.publish(RealtimeModelTranscriptDeltaEvent("item_1", "Hello", "resp_1"))

    assert "can't be inspected" in caplog.text


@pytest.mark.parametrize("port", ["page", "", "-1", "65536"])
async def test_environment_without_a_port_is_one_sentence(monkeypatch, caplog, port, anyio_backend):
    """
    The log has the value and the remedy, and no traceback; the bus runs.
    """
    monkeypatch.setenv("EVENTBUS_INSPECT", port)
    async with EventBus() as bus:
        bus.publish(RealtimeModelTranscriptDeltaEvent("item_1", "Hello", "resp_1"))

    [record] = caplog.records
    assert record.getMessage().startswith(f"EVENTBUS_INSPECT is {port!r}, so the bus can't")
    assert record.exc_info is None


def test_messages_to_the_service_are_seen_through_the_model():
    """
    `listen` adds the caller's side; without a bus there is none.
    """
    with Inspector(paths=[], port=0) as inspector, pytest.raises(InspectorError, match="its bus"):
        inspector.listen(object())


@pytest.mark.parametrize("host", ["nohost.invalid", "192.0.2.1"])
def test_host_that_is_not_this_machine_is_named(host):
    """
    An address that isn't the machine's is told as a matter of the host, and not of the port.
    """
    with pytest.raises(InspectorError, match="give another host") as told:
        Inspector(host=host, port=0, token="secret").__enter__()

    assert host in str(told.value)
    assert "give another port" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"bus": 5}, TypeError, "EventBus; bus= is 5"),
        ({"paths": "call.journal"}, TypeError, "paths= is a list"),
        ({"paths": 5}, TypeError, "paths= is a list"),
        ({"host": 5}, TypeError, "host= is a text, not int"),
        ({"token": b"secret"}, TypeError, "token= is a text, not bytes$"),
        *(({"port": port}, ValueError, "port= is a number") for port in (-1, 65_536, True, "7420")),
    ],
    ids=str,
)
def test_wrong_argument_is_named_before_anything_is_opened(options, error, told):
    """
    By its name and value; a token is shown nowhere.
    """
    with pytest.raises(error, match=told.replace("$", r"\.$")):
        Inspector(**options)
