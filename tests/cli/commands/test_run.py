"""
``eventbus run``, against the simulator: its output, its sound, and its ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import types
import wave
from array import array

import pytest

from eventbus.cli.commands import run as run_module
from eventbus.journal import open_journal
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak, spoken_text
from eventbus.testing import FakeClock

KEY = "sk-run-test-0123456789"
RATE = 24_000

APP = """\
from eventbus.realtime.tools import tool

bus = EventBus()

@tool
def get_weather(city: str) -> dict:
    "Return the weather of a city."
    return {"sky": "rain"}

@bus.on(RealtimeModelTranscriptDoneEvent)
def say(event):
    print("app:", event.transcript)
"""


@pytest.fixture
def call(run, monkeypatch):
    """
    Run the command in virtual time, without a key.
    """
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def in_virtual_time(main, *args):
        with FakeClock(autojump=True):
            await main(*args)

    run_loop = run_module.run_loop
    monkeypatch.setattr(
        run_module, "run_loop", lambda main, *args: run_loop(in_virtual_time, main, *args)
    )
    return lambda *args, **more: run("run", *args, **more)


@pytest.fixture
def write_wav(tmp_path):
    """
    Write a file in which those texts are said, with so much silence after each.
    """

    def write(*texts, pause_ms=0, rate=RATE):
        path = tmp_path / "said.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            for text in texts:
                file.writeframes(speak(text) + silence(pause_ms))
        return str(path)

    return write


def loudness(path):
    """
    True for each tenth of a second of a file with sound in it.
    """
    with wave.open(str(path)) as file:
        samples = array("h", file.readframes(file.getnframes()))
    tenth = RATE // 10
    return [max(map(abs, samples[at : at + tenth])) > 500 for at in range(0, len(samples), tenth)]


# --- a call ----------------------------------------------------------------------------------


def test_call_is_shown_and_ends_after_the_last_answer(call, write_wav, write_module, tmp_path):
    """
    The caller's words, the tool call and both answers are shown; then comes the summary.
    """
    write_module("agent", APP)
    out = tmp_path / "heard.wav"

    result = call(
        "--sim", "weather", "--app", "agent:bus", "--out", str(out),
        "--wav", write_wav("What is the weather in Oslo?"),
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    told = [
        "gpt-realtime picks up",
        "What is the weather in Oslo?",
        "One moment, please.",
        'get_weather({"city":"Oslo"})',
        'get_weather = {"sky":"rain"}',
        'In Oslo, this is the weather: {"sky": "rain"}.',
        "disconnected",
        "agent.say",
        "crashes: none",
    ]
    places = [result.stdout.find(each) for each in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)
    assert "app: One moment, please." in result.stdout
    assert result.stderr == ""
    heard = loudness(out)
    assert not any(heard[:20]), "while the caller speaks, nothing is heard"
    assert sum(heard) > 30
    assert not any(heard[-15:]), "it ends when nothing was heard for a while"


def test_texts_are_answered_one_after_another(call):
    """
    Each --say is sent when the answer to the one before is complete; it needs no sound card.
    """
    result = call("--sim", "--say", "Hello", "--say", "And goodbye")

    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    lines = [line[9:].strip() for line in result.stdout.splitlines() if line[9:15].strip()]
    talk = [line for line in lines if line.startswith(("caller", "agent"))]
    assert [line.split(None, 1)[1] for line in talk] == [
        "Hello", "You said: Hello", "And goodbye", "You said: And goodbye",
    ]  # fmt: skip


def test_text_waits_for_the_answer_after_a_tool(call, write_module):
    """
    The answer that follows a tool call belongs to the same message.
    """
    write_module("agent", APP)

    result = call(
        "--sim", "weather", "--app", "agent:bus",
        "--say", "What is the weather in Oslo?", "--say", "And in Rome?",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert result.stdout.index("In Oslo, this is") < result.stdout.index("And in Rome?")


def test_lines_of_stdin_are_sent(call):
    """
    With --text, the lines that come through a pipe are sent, without empty ones.
    """
    result = call("--sim", "--text", input="Hello\n\n  And goodbye")

    assert result.exit_code == 0, result.stderr
    assert "You said: Hello" in result.stdout
    assert "You said: And goodbye" in result.stdout


def test_speech_of_a_typed_session_goes_to_a_file(call, tmp_path):
    """
    With --out, the answer to a text is written as it sounds.
    """
    result = call("--sim", "--say", "Hello", "--out", "heard.wav")

    assert result.exit_code == 0, result.stderr
    assert sum(loudness(tmp_path / "heard.wav")) > 5


@pytest.mark.parametrize(
    "given", [("--say", "Hi", "--text"), ("--wav", "a.wav", "--say", "Hi")], ids=" ".join
)
def test_two_inputs_are_a_usage_error(call, given):
    """
    Of microphone, file and text there is one.
    """
    result = call("--sim", *given)

    assert result.exit_code == 2
    assert "choose one input" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_terminal_has_a_prompt(environment, tmp_path):
    """
    If stdin is a terminal and there is no sound card, a conversation can be typed; Ctrl-D ends it.
    """
    master, slave = os.openpty()
    environment = {**environment, "TERM": "xterm"}
    blocker = "import sys; sys.modules['sounddevice'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blocker, encoding="utf-8")
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    command = [sys.executable, "-m", "eventbus", "run", "--sim"]
    shown = b""

    def wait_for(text):
        nonlocal shown
        while text not in shown:
            shown += os.read(master, 65_536)
        shown = shown[shown.index(text) + len(text) :]

    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=tmp_path
    ) as process:
        os.close(slave)
        wait_for(b"There is no microphone: type your side")
        for words in (b"Hello", b"And goodbye"):
            wait_for(b"you> ")
            os.write(master, words + b"\n")
            wait_for(b"You said: " + words)
        wait_for(b"you> ")
        os.write(master, b"\x04")
        wait_for(b"crashes: none")

        assert process.wait() == 0
    os.close(master)


FACTORY = """\
from eventbus.audio import G711_ULAW
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession

bus = EventBus()

@bus.on(RealtimeModelSessionUpdatedEvent)
def updated(event):
    if not event.created:
        audio = event.session["audio"]["output"]
        print("app:", audio["voice"], audio["format"]["type"])

def new_session():
    audio = {"input": {"format": G711_ULAW}, "output": {"format": G711_ULAW, "voice": "marin"}}
    session = RealtimeSession(
        OpenAIRealtimeModel(),
        bus,
        context={"table": 5},
        config={"url": "ws://elsewhere.invalid", "initial_model_settings": {"audio": audio}},
    )

    @session.tool
    def get_weather(city: str) -> str:
        "Return the weather of a city."
        return f"fog at table {session.context['table']}"

    return session
"""


@pytest.mark.slow
def test_session_of_a_factory_is_the_one_that_runs(call, write_module, tmp_path):
    """
    Settings, audio formats, context and tools are those of the app's own session, and --sim goes
    before its address; the speech that is heard is converted from its format.
    """
    write_module("agent", FACTORY)

    result = call(
        "--sim", "weather", "--app", "agent:new_session",
        "--say", "What is the weather in Oslo?", "--out", "heard.wav",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert "app: marin audio/pcmu" in result.stdout
    assert "get_weather = fog at table 5" in result.stdout
    assert "In Oslo, this is the weather: fog at table 5." in result.stdout
    with wave.open(str(tmp_path / "heard.wav")) as file:
        assert file.getframerate() == RATE
    assert sum(loudness(tmp_path / "heard.wav")) > 30


@pytest.mark.slow
def test_speech_is_sent_in_the_format_of_the_factory_s_session(call, write_module, write_wav):
    """
    A file at 24 kHz reaches a session of G.711 as speech of the same length.
    """
    write_module("agent", FACTORY)
    args = ("--sim", "--app", "agent:new_session", "--wav", write_wav("Hello there"))

    result = call(*args, "--out", "heard.wav", "--json")

    assert result.exit_code == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    times = {event.get("type"): event for event in events}
    start_ms = times["input_speech_started"]["audio_start_ms"]
    assert 500 < times["input_speech_stopped"]["audio_end_ms"] - start_ms < 1_800


def test_settings_of_a_factory_are_not_overridden(call, write_module):
    """
    --voice and the like are refused where the app makes the session itself.
    """
    write_module("agent", FACTORY)

    result = call("--sim", "--app", "agent:new_session", "--voice", "alloy", "--say", "Hi")

    assert result.exit_code == 2
    assert "--voice can't be given with agent:new_session" in result.stderr


@pytest.mark.slow
def test_recorded_call_can_be_measured_and_replayed(call, run, write_wav, write_module):
    """
    With --record, the journal has sent messages, received frames, and the calls; a second one with
    the same name is refused before anything is said.
    """
    write_module("agent", APP)
    args = ("--sim", "--app", "agent:bus", "--wav", write_wav("Hello"), "--record", "call.journal")

    result = call(*args, "--out", "heard.wav")

    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"call\.journal: \d+ records\n", result.stderr)
    stats = json.loads(run("stats", "call.journal", "--json").stdout)
    assert stats["counts"]["turns"] == 1
    assert stats["figures"]["turn_latency"]["estimated"] == 0, "what was said is there"
    handlers = [each["handler"] for each in stats["handlers"]]
    assert handlers
    assert not [name for name in handlers if name.startswith("eventbus.cli.")], "the app's alone"
    assert run("replay", "call.journal", "--strict").exit_code == 0
    again = call(*args)
    assert again.exit_code == 2
    assert "call.journal is there already" in again.stderr


def test_recorded_call_lacks_what_is_left_out(call, write_wav, tmp_path):
    """
    With --no-content and --redact neither words nor audio get into the journal's file.
    """
    options = ("--record", "call.journal", "--no-content", "--redact", "voice")

    result = call("--sim", "--wav", write_wav("Hello"), "--out", "heard.wav", *options)

    assert result.exit_code == 0, result.stderr
    assert "You said: Hello" in result.stdout, "it was said all the same"
    assert b"Hello" not in (tmp_path / "call.journal").read_bytes()
    header = open_journal(tmp_path / "call.journal").header
    assert (header.has_audio, header.has_content, header.redacted) == (False, False, ("voice",))


def test_interruption_cuts_off_what_is_written(call, write_wav, tmp_path):
    """
    From the caller's interruption on, the rest of a long answer is not in the file.
    """
    out = tmp_path / "heard.wav"

    result = call(
        "--sim", "barge_in", "--out", str(out),
        "--wav", write_wav("Tell me a story.", "Stop, please.", pause_ms=3_000),
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert "interrupted" in result.stdout
    assert " …" in result.stdout
    heard = "".join("#" if is_loud else " " for is_loud in loudness(out))
    first, second = [part.strip() for part in heard.split(" " * 10) if part.strip()]
    assert 15 < len(first) < 35, "of an answer that would have taken half a minute"
    assert second, "the answer to the interruption"


def test_json_has_every_event_but_frames(call, write_wav, write_module):
    """
    With --json stdout is JSON alone, and the app's prints go to stderr.
    """
    write_module("agent", APP)

    result = call(
        "--sim", "--app", "agent", "--json", "--wav", write_wav("Hello"), "--out", "o.wav"
    )

    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    types = [line.get("type") for line in lines]
    assert types[0] == "connection_status"
    assert types[-2:] == ["end_of_stream", None]
    assert {"audio", "transcript_done", "session.history_added"} <= {*types}
    assert "raw_server_event" not in types
    assert lines[-1]["summary"]["crashed"] == 0
    assert "app: You said: Hello" not in result.stdout


def test_module_with_tools_alone_is_an_app(call, write_wav, write_module):
    """
    MODULE may have tools and no handler at all.
    """
    write_module("agent", APP.partition("@bus")[0].replace("bus = EventBus()", ""))

    result = call(
        "--sim", "weather", "--app", "agent", "--wav", write_wav("Weather?"), "--out", "o.wav"
    )

    assert 'get_weather = {"sky":"rain"}' in result.stdout, result.stderr


def test_crash_of_a_handler_is_5(call, write_wav, write_module):
    """
    A handler that crashes is told at once, is in the summary, and makes the exit code 5.
    """
    write_module(
        "agent",
        "@on(RealtimeModelTurnStartedEvent)\ndef fail(event): raise ValueError('no such turn')\n",
    )

    result = call("--sim", "--app", "agent", "--wav", write_wav("Hello"), "--out", "o.wav")

    assert result.exit_code == 5
    assert "crash: agent.fail on RealtimeModelTurnStartedEvent: ValueError" in result.stderr
    assert "You said: Hello" in result.stdout


def test_other_rate_is_understood_as_speech(call, write_wav):
    """
    Speech from a file of another rate is heard and answered.
    """
    result = call("--sim", "--wav", write_wav("Hello there", rate=48_000), "--out", "o.wav")

    assert result.exit_code == 0, result.stderr
    assert "agent   You said:" in result.stdout


def test_max_seconds_ends_a_call(call, write_wav, tmp_path):
    """
    The session is over after so many seconds, in the middle of a conversation, too.
    """
    out = tmp_path / "heard.wav"

    result = call(
        "--sim", "--max-seconds", "1", "--out", str(out), "--wav", write_wav("A long question")
    )

    assert result.exit_code == 0
    with wave.open(str(out)) as file:
        assert file.getnframes() / RATE == pytest.approx(1, abs=0.05)


def test_without_a_loudspeaker_a_file_can_be_said_all_the_same(call, write_wav, monkeypatch):
    """
    With --wav and without --out, a missing loudspeaker is told, and the session goes on.
    """
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)

    result = call("--sim", "--wav", write_wav("Hello"))

    assert result.exit_code == 0
    assert "You said: Hello" in result.stdout
    (line,) = result.stderr.splitlines()
    assert "--out FILE keeps it" in line
    assert "eventbus[cli,openai,audio]" in line


def test_settings_reach_the_service(call, write_wav):
    """
    Model, voice and instructions of the command line are those of the session.
    """
    result = call(
        "--sim", "--json", "--model", "gpt-realtime-mini", "--voice", "cedar",
        "--instructions", "Be brief.", "--wav", write_wav("Hello"), "--out", "o.wav",
    )  # fmt: skip

    lines = map(json.loads, result.stdout.splitlines())
    *_, session = (line["session"] for line in lines if line.get("type") == "session_updated")
    assert session["model"] == "gpt-realtime-mini"
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "cedar"


def test_gpt_live_with_the_simulator(call):
    """
    A model of GPT-Live speaks that protocol: typed text is answered, and silence is not shown.
    """
    result = call("--sim", "--json", "--model", "gpt-live-1", "--say", "Hello")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [line.get("type") for line in lines]
    [done] = [line for line in lines if line.get("type") == "transcript_done"]
    assert result.exit_code == 0
    assert done["transcript"] == "You said: Hello"
    assert "silence" not in kinds


def test_the_key_is_that_of_the_service(call, monkeypatch):
    """
    OpenAI's key is for OpenAI alone: a known address of another service asks for its own.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("XAI_API_KEY", raising=False)

    result = call("--url", "wss://api.x.ai/v1/realtime", "--say", "Hello")

    assert result.exit_code == 4
    assert "set XAI_API_KEY" in only_line(result)


# --- what can go wrong -----------------------------------------------------------------------


def only_line(result):
    """
    The one line that names the problem; there is no traceback, and nothing on stdout.
    """
    (line,) = result.stderr.splitlines()
    assert "Traceback" not in result.output
    return line


def test_without_a_key_is_4(call):
    """
    Without a key there is one line that says how to set one, and how to do without.
    """
    result = call()

    assert result.exit_code == 4
    assert only_line(result) == (
        "Error: There is no key: set OPENAI_API_KEY. "
        "Without one, try the simulator: eventbus run --sim"
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ws://127.0.0.1:1/v1/realtime", "Nothing listens at ws://127.0.0.1:1"),
        ("wss://127.0.0.1:1/v1", "Nothing listens"),
        ("nonsense", "is not the address"),
    ],
)
def test_unreachable_service_is_4(call, write_wav, monkeypatch, url, problem):
    """
    Without a server there, the one line names the address and the remedy, and not the key.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    result = call("--url", url, "--wav", write_wav("Hello"), "--out", "o.wav")

    assert result.exit_code == 4
    assert problem in only_line(result)
    assert KEY not in result.output


def test_wrong_key_is_4_and_not_told(call, write_wav, monkeypatch):
    """
    A key that the service refuses is one line, without the key, and with the things to check.
    """
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    start = OpenAIRealtimeModel.connect

    async def connect(model, options):
        async with Simulator(api_key="sk-another-key") as service:
            await start(model, {**options, "url": service.url})

    monkeypatch.setattr(OpenAIRealtimeModel, "connect", connect)

    result = call("--url", "ws://x", "--wav", write_wav("Hello"), "--out", "o.wav", "--json")

    assert result.exit_code == 4
    assert "refused the key" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert KEY not in result.output


def test_connection_that_breaks_off_is_4_and_has_a_summary(call, write_wav, tmp_path):
    """
    A session that the service ends with an error is 4, after the summary.
    """
    scenario = "turns:\n  - {say: Hello to you., faults: close=4000}\n"
    (tmp_path / "s.yaml").write_text(scenario, encoding="utf-8")

    result = call("--sim", "s.yaml", "--wav", write_wav("Hello"), "--out", "o.wav")

    assert result.exit_code == 4
    assert "4000" in only_line(result)
    assert "RealtimeModelEndOfStreamEvent" in result.stdout


def test_microphone_and_loudspeaker_take_the_places_of_files(call, monkeypatch):
    """
    Without files, speech in the microphone is answered, and the loudspeaker plays the answer.
    """
    heard = []

    class Stream:
        def __init__(self, *, callback, blocksize, **_):
            self.callback, self.size = callback, 2 * blocksize

        def start(self):
            self.loop = asyncio.get_running_loop()
            self.turn()

        def abort(self):
            self.timer.cancel()

        def close(self):
            pass

        def turn(self):
            self.timer = self.loop.call_later(0.02, self.turn)
            self.move()

    class Microphone(Stream):
        sound = speak("Hello")

        def move(self):
            piece, self.sound = self.sound[: self.size], self.sound[self.size :]
            self.callback(piece.ljust(self.size, b"\0"), None, None, None)

    class Loudspeaker(Stream):
        def move(self):
            out = memoryview(bytearray(self.size))
            self.callback(out, None, None, None)
            heard.append(bytes(out))

    fake = types.ModuleType("sounddevice")
    fake.PortAudioError = type("PortAudioError", (Exception,), {})
    fake.RawInputStream, fake.RawOutputStream = Microphone, Loudspeaker
    fake.check_input_settings = fake.check_output_settings = lambda **settings: None
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)

    result = call("--sim", "--max-seconds", "6")
    sys.modules.pop("eventbus.audio.devices")

    assert result.exit_code == 0, result.stderr
    assert "You said: Hello" in result.stdout
    assert spoken_text(b"".join(heard)) == "You said: Hello"


def test_wrong_scenario_is_3(call, tmp_path):
    """
    A scenario that isn't there, or has a mistake, is one line that names it.
    """
    (tmp_path / "s.yaml").write_text("turns:\n  - sya: hello\n", encoding="utf-8")

    for scenario, problem in [("wether", "weather"), ("s.yaml", "sya")]:
        result = call("--sim", scenario)
        assert result.exit_code == 3
        assert problem in only_line(result)


def test_wav_of_the_wrong_format_is_3(call, tmp_path):
    """
    A file that is no WAV file is one line with the command that makes one.
    """
    (tmp_path / "in.wav").write_text("hello", encoding="utf-8")

    result = call("--sim", "--wav", "in.wav")

    assert result.exit_code == 3
    assert "ffmpeg" in only_line(result)


@pytest.mark.parametrize(
    ("name", "problem"), [("none.wav", "there is no such file"), (".", "is a folder")]
)
def test_wav_that_cannot_be_read_is_3(call, name, problem):
    """
    A file that isn't there, or is none, is one line that names it.
    """
    result = call("--sim", "--wav", name)

    assert result.exit_code == 3
    assert name in only_line(result)
    assert problem in only_line(result)


def test_output_that_cannot_be_written_is_1(call, write_wav):
    """
    A folder that isn't there is told before anybody is called.
    """
    result = call("--sim", "--wav", write_wav("Hello"), "--out", "none/out.wav")

    assert result.exit_code == 1
    assert "none/out.wav can't be written" in only_line(result)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--sim", "--url", "ws://x"], "can't both be given"),
        (["--sim", "--max-seconds", "0"], "--max-seconds"),
        (["--sim", "--app", "nonsense"], "no module nonsense"),
        (["--sim", "--no-audio"], "--no-audio needs --record"),
    ],
)
def test_wrong_arguments_are_2(call, args, problem):
    """
    Arguments that make no sense are click's error, with the problem.
    """
    result = call(*args)

    assert result.exit_code == 2
    assert problem in result.stderr


def test_input_is_not_overwritten(call, write_wav):
    """
    The file that is read can't be the one that is written.
    """
    path = write_wav("Hello")

    result = call("--sim", "--wav", path, "--out", path)

    assert result.exit_code == 2
    assert "is the input file" in result.stderr


def test_without_a_microphone_is_told(call, monkeypatch):
    """
    Without --wav and without the package for a microphone, one line names the extra to install.
    """
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delitem(sys.modules, "eventbus.audio.devices", raising=False)

    result = call("--sim")

    assert result.exit_code == 1
    line = only_line(result)
    assert "eventbus[cli,openai,audio]" in line
    assert "--say TEXT, --text or --wav FILE" in line


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupt_leaves_a_whole_file_and_130(call, write_wav, write_module, tmp_path):
    """
    Ctrl-C ends the session with 130, a summary and no traceback, and the file can be read.
    """
    write_module(
        "agent",
        "import signal\n"
        "@on(RealtimeModelAudioEvent)\n"
        "def hear(event): signal.raise_signal(signal.SIGINT)\n",
    )

    result = call("--sim", "--app", "agent", "--wav", write_wav("Hello"), "--out", "out.wav")

    assert result.exit_code == 130
    assert "interrupted" in result.stdout
    assert result.stderr == ""
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getframerate() == RATE
        assert file.getnframes() > 0


def test_misspelt_model_is_found_with_the_simulator(call):
    """
    It refuses a name that no service has, with the nearest one that a service has.
    """
    result = call("--sim", "--text", "--model", "gpt-raeltime", input="Hello")

    assert result.exit_code == 4
    line = only_line(result)
    assert 'Model "gpt-raeltime" is not supported in realtime mode.' in line
    assert "Did you mean gpt-realtime?" in line
