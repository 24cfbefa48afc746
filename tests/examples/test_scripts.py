"""
The scripts in `examples/` that talk to a model: the lines that each conversation prints.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import eventbus
from tests.examples.loading import EXAMPLES

pytestmark = pytest.mark.slow

# A sound card: its microphone says a question once, its loudspeaker plays everything at once.
FAKE_SOUNDDEVICE = """\
import threading, time
from eventbus.simulator.speech import speak

class PortAudioError(Exception): pass

def check_input_settings(**_): pass
check_output_settings = check_input_settings

class _Stream:
    def __init__(self, *, callback, blocksize, **_):
        self.callback, self.size, self.is_open = callback, 2 * blocksize, True
    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
    def abort(self):
        self.is_open = False
    close = abort
    def run(self):
        while self.is_open:
            time.sleep(0.02)
            self.step()

class RawInputStream(_Stream):
    sound = speak("What is the weather in Oslo?")
    def step(self):
        piece, self.sound = self.sound[: self.size], self.sound[self.size :]
        self.callback(piece.ljust(self.size, bytes(1)), None, None, None)

class RawOutputStream(_Stream):
    def step(self):
        self.callback(memoryview(bytearray(self.size)), None, None, None)
"""


@pytest.fixture
def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
    path = os.pathsep.join([str(tmp_path), str(Path(eventbus.__file__).parents[1])])
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def run(script, environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / script)],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_call_centre_greets_approves_and_hangs_up(environment):
    """
    Each agent speaks first, the supervisor rejects the large refund only, and each call ends.
    """
    lines = run("call_centre.py", environment)

    for number in ("call-1", "call-2", "call-3"):
        of_call = [line for line in lines if line.startswith(f"{number}: ")]
        assert of_call[0].endswith("How can I help?")
        assert of_call[-2:] == [
            f"{number}: Goodbye, and thank you for calling!",
            f"{number}: the call is over",
        ]
    assert "call-1: I have asked: 20 will be paid back." in lines
    assert "supervisor: no refund of 900 for call-2" in lines
    assert "call-2: I have asked: A refund of that size needs a letter." in lines


def test_push_to_talk_answers_each_turn(environment):
    """
    Each turn that is sent is understood and answered, without turn detection.
    """
    assert sorted(run("push_to_talk.py", environment)) == [
        "agent: You said: Hello, is anybody there?",
        "agent: You said: Then tell me the time, please.",
        "you: Hello, is anybody there?",
        "you: Then tell me the time, please.",
    ]


def test_voice_agent_talks_through_the_sound_card(environment, tmp_path):
    """
    The question that the microphone records is answered with the tool's result; Ctrl-C ends.
    """
    (tmp_path / "sounddevice.py").write_text(FAKE_SOUNDDEVICE, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(EXAMPLES / "voice_agent.py"), "--sim"]

    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if "this is the weather" in line:
                process.send_signal(signal.SIGINT)
        stderr = process.stderr.read()

        assert process.wait() == 0
    assert stderr == ""
    assert lines[0] == "Speak; Ctrl-C ends."
    assert "you: What is the weather in Oslo?" in lines
    assert "agent: In Oslo, this is the weather: sunny, as ever in Oslo." in lines


def test_voice_agent_without_a_sound_card_is_one_sentence(environment, tmp_path):
    """
    If the package or a device is missing, the script ends with one line that names it.
    """
    missing = "raise ModuleNotFoundError('no', name='sounddevice')\n"
    refusing = FAKE_SOUNDDEVICE.replace(
        "def check_input_settings(**_): pass",
        "def check_input_settings(**_): raise PortAudioError('Error querying device -1')\n"
        "def query_devices(*_): raise PortAudioError('Error querying device -1')",
    )

    for source, words in ((missing, "pip install"), (refusing, "No microphone")):
        (tmp_path / "sounddevice.py").write_text(source, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "voice_agent.py"), "--sim"],
            capture_output=True,
            check=False,
            encoding="utf-8",
            env=environment,
            timeout=60,
        )

        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert words in line


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["call_centre.py", "--live"], "leave --live out"),
        (["push_to_talk.py", "--live"], "leave --live out"),
        (["twilio/phone_server.py"], "try --sim"),
    ],
)
def test_missing_key_is_one_sentence(monkeypatch, arguments, remedy):
    """
    Without a key, a script ends before it connects or listens, and says what to do.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / arguments[0]), run_name="__main__")

    assert end.value.code == f"There is no key: set OPENAI_API_KEY, or {remedy}."


@pytest.mark.skipif(os.name != "posix", reason="SIGINT as a terminal sends it")
def test_page_ends_with_ctrl_c(environment):
    """
    The server of the page ends without a traceback.
    """
    command = [sys.executable, EXAMPLES / "browser" / "page_server.py", "--sim", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        url = server.stdout.readline().split()[4].rstrip(";")
        with urllib.request.urlopen(url) as page:  # our own address; now it serves
            assert page.status == 200
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=60)

    assert "Traceback" not in errors
