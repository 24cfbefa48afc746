"""
Each script in `examples/` runs as it is: without a key, a server or a terminal.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import eventbus

ROOT = Path(__file__).parents[1]

# These need a sound card, and have a test of their own in tests/examples.
NOT_ALONE = {"voice_agent.py"}
SCRIPTS = sorted(path for path in (ROOT / "examples").glob("*.py") if path.name not in NOT_ALONE)


def test_there_are_examples():
    """
    The folder is where the tests look for it.
    """
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.slow
def test_example_runs(script, tmp_path):
    """
    The script ends well, shows something, and causes no warning.
    """
    env = {name: value for name, value in os.environ.items() if "API_KEY" not in name}
    # The eventbus under test, which need not be installed; the example is run from elsewhere.
    env["PYTHONPATH"] = str(Path(eventbus.__file__).parents[1])

    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        encoding="utf-8",
        env=env,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert "Exception ignored" not in result.stderr
