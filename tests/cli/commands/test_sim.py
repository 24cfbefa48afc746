"""
``eventbus sim``: its address, its log of connections, and its ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

posix = pytest.mark.skipif(os.name != "posix", reason="SIGINT as a terminal sends it")


@posix
@pytest.mark.slow
def test_clients_connect_where_it_says_until_ctrl_c(start):
    """
    The first line has the URL; each connection is a line without content; Ctrl-C is exit code 130.
    """
    with start("sim", "weather", "--port", "0", "--json", "--api-key", "sk-right") as process:
        place = json.loads(process.stdout.readline())
        with connect(place["url"], additional_headers={"api-key": "sk-right"}) as client:
            created = json.loads(client.recv())
        with pytest.raises(InvalidStatus):
            connect(place["url"], additional_headers={"api-key": "sk-wrong"})
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)

    assert list(place) == ["schema", "scenario", "live_url", "url", "base_url"]
    assert place["schema"] == "eventbus.address/1"
    assert place["scenario"] == "weather"
    path = "/realtime?model=simulated"
    assert place["base_url"] == place["url"].replace("ws:", "http:").removesuffix(path)
    assert created["type"] == "session.created"
    # The end of a connection may be known a little later than the next one is.
    assert sorted(stderr.decode().splitlines()) == [
        "#1 A client has connected.",
        "#1 A connection has ended. close_code=1000 responses=0",
        "A connection was refused. status=401 code=invalid_api_key",
    ]
    assert b"sk-" not in stderr
    assert process.returncode == 130


async def converse(url, context):
    # Not the sync client: of its TLS handshakes one in a hundred hung on CPython 3.11, with a plain
    # server of websockets as well as with the simulator; of this client's, none of 1,200.
    async with async_connect(url, ssl=context) as client:
        await client.recv()
        await client.send('{"type": "input_audio_buffer.clear"}')
        await client.recv()
        await client.send("nonsense")
        await client.recv()


@posix
@pytest.mark.slow
def test_tls_and_a_log_of_the_frames(start, tmp_path):
    """
    With --tls the file to trust is told; --log has the frames of both directions, as seen by the
    client, and only its owner can read them.
    """
    log = tmp_path / "frames.jsonl"
    with start("sim", "--port", "0", "--json", "--tls", "--log", str(log)) as process:
        place = json.loads(process.stdout.readline())
        context = ssl.create_default_context(cafile=place["ca_file"])
        asyncio.run(converse(place["url"], context))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["direction"], line["connection"]) for line in lines] == [
        ("received", 1),
        ("sent", 1),
        ("received", 1),
        ("sent", 1),
        ("received", 1),
    ]
    assert lines[1]["frame"] == {"type": "input_audio_buffer.clear"}
    assert lines[3]["frame"] == "nonsense"
    assert log.stat().st_mode & 0o777 == 0o600
    assert not Path(place["ca_file"]).exists()


def test_certificate_that_can_not_be_used(run, tmp_path):
    """
    One line with both files and the reason, and exit code 3.
    """
    key = tmp_path / "key.pem"
    key.write_text("no key")
    for command in (("sim",), ("proxy", "--upstream", "ws://127.0.0.1:1")):
        result = run(*command, "--tls-certificate", "absent.pem", str(key))

        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert "absent.pem" in line
        assert "can't be used as a certificate" in line


@posix
@pytest.mark.slow
def test_check_lists_where_a_service_differs(start, run, tmp_path):
    """
    Each probe is a line of JSON with its differences; the exit code is 1 if there are any.
    """
    (tmp_path / "azure.yaml").write_text("dialect: azure\n", encoding="utf-8")
    with start("sim", str(tmp_path / "azure.yaml"), "--port", "0", "--json") as process:
        place = json.loads(process.stdout.readline())
        result = run("sim", "--check", place["base_url"], "--json")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    lines = map(json.loads, result.stdout.splitlines())
    probes = {line["probe"]: line["differences"] for line in lines}
    assert result.exit_code == 1
    assert len(probes["text"]) == 2
    assert probes["refusal: unknown type"] == []


def test_check_of_nothing(run):
    """
    A service that can't be reached is exit code 4, and one that speaks no GA is 3, in one line.
    """
    absent = run("sim", "--check", "http://127.0.0.1:1/v1")
    wrong = run("sim", "--check", "wss://api.x.ai/v1/realtime")

    assert (absent.exit_code, wrong.exit_code) == (4, 3)
    assert "There is no connection to ws://127.0.0.1:1/v1/realtime" in absent.stderr
    assert "speaks the GA protocol only" in wrong.stderr


def test_port_in_use(run, taken_port):
    """
    One line with the address and the remedy, and exit code 4.
    """
    result = run("sim", "--port", str(taken_port))

    assert result.exit_code == 4
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert f"can't listen at 127.0.0.1:{taken_port}" in line
    assert "Port 0 takes one that is free." in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turns:\n  - sai: Hi\n", "mine.yaml, line 2, turns[0].sai: There is no 'sai' here; did"),
        ("turns:\n  - say: [\n", "mine.yaml, line 3: It is no YAML: "),
    ],
)
def test_scenario_with_a_mistake(run, tmp_path, text, message):
    """
    One line with file, line and remedy, and exit code 3.
    """
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")

    result = run("sim", "mine.yaml")

    assert result.exit_code == 3
    [line] = result.stderr.splitlines()
    assert line.startswith(f"Error: {message}")


def test_scenario_that_there_is_not(run):
    """
    It is named with the nearest one that ships, and the exit code is 3.
    """
    result = run("sim", "wether")

    assert result.exit_code == 3
    assert "There is no scenario wether; did you mean weather?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--faults", "dorp@2"], "There is no fault 'dorp@2'; did you mean drop?"),
        (["--speed", "0"], "'0' is not a valid speed"),
        (["--port", "99999"], "99999 is not in the range"),
    ],
)
def test_wrong_arguments(run, arguments, message):
    """
    They are usage errors: exit code 2, and the allowed values.
    """
    result = run("sim", *arguments)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_help_names_the_scenarios_that_ship(run):
    """
    Nobody has to look for them.
    """
    assert "Scenarios that ship: barge_in, default, text_only, weather." in run("sim", "-h").stdout


@posix
@pytest.mark.slow
def test_log_is_written_to_a_pipe_that_is_there(start, tmp_path):
    """
    A device or a pipe is opened, and not replaced by a file.
    """
    pipe = tmp_path / "frames"
    os.mkfifo(pipe)
    with start("sim", "--port", "0", "--json", "--log", str(pipe)) as process, pipe.open() as log:
        place = json.loads(process.stdout.readline())
        with connect(place["url"]) as client:
            client.recv()
        line = json.loads(log.readline())
        process.send_signal(signal.SIGINT)

    assert line["frame"]["type"] == "session.created"
    assert pipe.is_fifo()
