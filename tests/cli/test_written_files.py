"""
Files that commands write: one that can't be written is exit code 1, and one line names it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.journals import write_journal

WRITES = {
    "export": ["export", "call.journal", "--to", "csv", "-o"],
    "proxy --record": ["proxy", "--port", "0", "--upstream", "ws://127.0.0.1:1", "--record"],
    "record": ["record", "frames.jsonl", "-o"],
    "redact": ["redact", "call.journal", "--no-audio", "-o"],
    "run --out": ["run", "--sim", "default", "--text", "--out"],
    "run --record": ["run", "--sim", "default", "--text", "--record"],
    "sim --log": ["sim", "--port", "0", "--log"],
    "stats --junit": ["stats", "call.journal", "--junit"],
    "trim": ["trim", "call.journal", "-o"],
}


@pytest.fixture
def sources(tmp_path):
    """
    A journal and a file of frames in the present folder.
    """
    write_journal(tmp_path / "call.journal")
    (tmp_path / "frames.jsonl").write_text('{"type":"response.created","response":{"id":"r"}}\n')


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WRITES.values(), ids=WRITES)
@pytest.mark.usefixtures("sources")
def test_file_in_a_missing_folder_is_exit_code_1(arguments, tmp_path, environment):
    """
    Whatever the command does besides, and before it serves or calls anybody.
    """
    path = os.path.join("missing", "file")  # noqa: PTH118  # as it is typed
    result = subprocess.run(
        [sys.executable, "-m", "eventbus", *arguments, path],
        cwd=tmp_path,
        env=environment,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith(f"Error: {path} can't be written: No such file or directory")
