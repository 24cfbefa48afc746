"""
``eventbus inspect`` and ``--inspect``.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from websockets.sync.client import connect

from tests.cli.journals import write_journal

pytestmark = pytest.mark.slow


def test_journal_is_served_until_ctrl_c(tmp_path):
    """
    The address comes first, the page is behind it, and Ctrl-C ends the command.
    """
    path = write_journal(tmp_path / "call.journal")
    command = [sys.executable, "-m", "eventbus", "inspect", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url) as response:  # our own address
            assert b"eventbus inspector" in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_missing_journal_is_one_line_and_exit_code_3(tmp_path):
    """
    A file that isn't there is named.
    """
    command = [sys.executable, "-m", "eventbus", "inspect", str(tmp_path / "no.journal")]
    result = subprocess.run(command, capture_output=True, check=False, text=True)

    assert result.returncode == 3
    assert "no.journal" in result.stderr
    assert "Traceback" not in result.stderr


def test_address_in_use_is_one_line_and_exit_code_4(run, tmp_path, taken_port):
    """
    As of the other commands that listen, with the remedy.
    """
    path = write_journal(tmp_path / "call.journal")
    result = run("inspect", str(path), "--port", str(taken_port))

    assert result.exit_code == 4
    [line] = result.stderr.splitlines()
    assert f"can't listen at 127.0.0.1:{taken_port}" in line
    assert "give another port" in line


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_port_that_is_none_is_a_wrong_argument(run, tmp_path, port):
    """
    The option is named, and the exit code is 2.
    """
    path = write_journal(tmp_path / "call.journal")
    result = run("inspect", str(path), "--port", port)

    assert result.exit_code == 2
    assert "'--port'" in result.stderr


def test_other_machines_without_a_token_are_a_wrong_argument(run, tmp_path):
    """
    The option is named, and the exit code is 2.
    """
    path = write_journal(tmp_path / "call.journal")
    result = run("inspect", str(path), "--host", "0.0.0.0")  # that is refused

    assert result.exit_code == 2
    assert "'--host'" in result.stderr
    assert "give a token" in result.stderr


def test_demo_can_be_looked_at():
    """
    With --inspect, the address is on stderr, and the demo ends as ever.
    """
    command = [sys.executable, "-m", "eventbus", "demo", "--speed", "max", "--inspect"]
    result = subprocess.run(
        command, capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL
    )

    assert result.returncode == 0
    assert re.search(r"^inspector: http://127\.0\.0\.1:\d+/\?token=", result.stderr, re.MULTILINE)


def test_diff_can_be_looked_at(tmp_path):
    """
    The address of two journals opens with the differences.
    """
    one, two = (write_journal(tmp_path / name) for name in ("a.journal", "b.journal"))
    command = [sys.executable, "-m", "eventbus", "diff", str(one), str(two), "--inspect"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url, _, view = process.stdout.readline().strip().partition("#")
        with urllib.request.urlopen(url) as response:  # our own address
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)

    assert view == "call=0&beside=1&tab=diff"


def ask(url, path):
    """Return the answer of the inspector at *url*."""
    page, _, token = url.partition("?")
    with urllib.request.urlopen(f"{page}{path}?{token}") as response:  # our own address
        return json.load(response)


def test_connections_to_the_simulator_can_be_looked_at():
    """
    Both sides of each connection are in the inspector, under the connection's name.
    """
    command = [sys.executable, "-m", "eventbus", "sim", "--port", "0", "--json", "--inspect"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            url = process.stderr.readline().removeprefix("inspector: ").strip()
            place = json.loads(process.stdout.readline())
            with connect(place["url"], additional_headers={"api-key": "none"}) as client:
                message = {"type": "session.update", "session": {"type": "realtime"}}
                client.send(json.dumps(message))
                while json.loads(client.recv())["type"] != "session.updated":
                    pass
                while not (calls := ask(url, "api/calls")["calls"]):
                    pass
                seen: set[str] = set()
                while not {"session.updated", "session.update"} <= seen:
                    seen = {line[5] for line in ask(url, "api/calls/0-0/lines")["lines"]}
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)

    assert [call["sender"] for call in calls] == ["connection-1"]
