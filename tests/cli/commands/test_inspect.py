"""
``eventbus inspect`` and ``--inspect``.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request

import pytest

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
