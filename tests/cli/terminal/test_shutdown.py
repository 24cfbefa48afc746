"""
`eventbus.cli.terminal.shutdown`: signals and failing output end a command as Ctrl-C does.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from eventbus.cli.terminal.shutdown import Shutdown, _WatchedFile

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")


@pytest.fixture(params=["SIGINT handled", "SIGINT ignored, as with & in a script"])
def shutdown(request):
    before = signal.getsignal(signal.SIGINT)
    if "ignored" in request.param:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield Shutdown()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_interrupts_plain_code(shutdown, number):
    """
    SIGTERM and SIGHUP raise a KeyboardInterrupt, and are remembered; afterwards they are as before.
    """
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), shutdown.watching():
        signal.raise_signal(number)

    assert shutdown.signal_number == number
    assert signal.getsignal(number) is before


def test_signal_cancels_the_main_task_of_an_event_loop(shutdown):
    """
    A coroutine is cancelled, so that its cleanup can await, and a KeyboardInterrupt follows.
    """
    done = []

    async def main():
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            done.append("closed")

    with pytest.raises(KeyboardInterrupt), shutdown.watching():
        asyncio.run(main())

    assert done == ["closed"]


def test_ignored_hangup_stays_ignored():
    """
    Under nohup, which ignores SIGHUP, a command lives on.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Shutdown().watching():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_first_failing_write_is_reported_and_the_rest_goes_nowhere():
    """
    A pipe that nobody reads is reported once, also from another thread; no write raises.
    """
    reader, writer = os.pipe()
    os.close(reader)
    errors = []

    def note(error):
        errors.append(error)
        return False

    file = _WatchedFile(writer, note)

    thread = threading.Thread(target=file.write, args=(b"12",))
    thread.start()
    thread.join()
    assert file.write(b"345") == 3
    os.close(writer)

    assert [type(error) for error in errors] == [BrokenPipeError]


# --- processes --------------------------------------------------------------------------------


@pytest.mark.slow
def test_reader_that_has_had_enough_ends_the_demo(start):
    """
    ``eventbus demo | head -1`` ends soon after the first line, with code 1 and no complaint.
    """
    with start("demo") as demo:
        assert demo.stdout.readline()
        demo.stdout.close()
        stderr = demo.stderr.read().decode()

        assert demo.wait() == 1
    assert "Error" not in stderr
    assert "crash:" not in stderr
    assert "Exception" not in stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("demo", "--speed", "max"), ("events",), ("sim", "--port", "0")],
    ids=lambda arguments: arguments[0],
)
def test_full_disk_ends_the_command_with_one_line(start, arguments):
    """
    Output that can't be written is an error that names stdout, and the command ends with 1.
    """
    with open("/dev/full", "wb") as full, start(*arguments, stdout=full) as process:  # noqa: PTH123
        stderr = process.stderr.read().decode()

        assert process.wait() == 1
    assert "stdout can't be written: [Errno 28] No space left on device" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_print_of_a_handler_that_fails_ends_the_command(start, write_frames, write_module):
    """
    A print of the app counts as output of the command: the call isn't played to nobody.
    """
    turn = {"type": "response.created", "response": {"id": "resp_1"}}
    frames = [{"t": n / 10, "frame": turn} for n in range(600)]
    write_module(
        "app",
        "@on(RealtimeModelTurnStartedEvent)\ndef tell(event):\n    print('turn', flush=True)\n",
    )
    path = write_frames(*frames)

    with start("replay", str(path), "--app", "app", "--speed", "1x") as replay:
        assert replay.stdout.readline() == b"turn\n"
        replay.stdout.close()

        assert replay.wait(timeout=30) == 1


@pytest.mark.slow
def test_background_process_of_a_script_is_ended_by_sigterm(tmp_path, environment):
    """
    A simulator that a script has started with ``&`` ends with 143 when the script kills it.
    """
    script = (
        f"{shlex.quote(sys.executable)} -m eventbus sim --port 0 --json >address & pid=$!\n"
        "until grep -q url address 2>/dev/null; do kill -0 $pid || exit; sleep 0.1; done\n"
        "kill $pid; wait $pid; echo $?"
    )

    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=True
    )

    assert done.stdout == b"143\n"
    assert json.loads((tmp_path / "address").read_text())["url"].startswith("ws://")


@pytest.mark.slow
def test_sigterm_closes_a_live_session_and_its_journal(start, tmp_path):
    """
    A session that SIGTERM ends has a summary and a journal with an end record; the code is 143.
    """
    with start("sim", "--port", "0", "--json") as sim:
        url = json.loads(sim.stdout.readline())["url"]
        with start("proxy", "--upstream", url, "--port", "0", "--record", "a.ebj", "--json") as it:
            it.stdout.readline()
            it.terminate()
            summary = json.loads(it.stdout.read().splitlines()[-1])

            assert it.wait() == 143
        sim.terminate()
        assert sim.wait() == 143
    assert summary["summary"]["was_interrupted"]
    assert (tmp_path / "a.ebj").exists()
    with start("validate", "a.ebj", "--json") as validate:
        assert json.loads(validate.stdout.read())["is_closed"]
        validate.wait()
