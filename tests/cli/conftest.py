"""
Frames, files of them, and modules with handlers, as a user of the command line has them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eventbus.cli.main import cli
from tests.cli.journals import new_runner


@pytest.fixture(scope="session")
def runner() -> CliRunner:
    """
    Click's runner of commands in this process, which keeps stdout and stderr apart.
    """
    return new_runner()


@pytest.fixture
def run(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """
    Run a command in this process, in an empty directory; the modules that it imports are forgotten
    after.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)

    def invoke(*args: str, **more: Any) -> Result:
        try:
            return runner.invoke(cli, args, **more)
        finally:
            for name in set(sys.modules) - known:
                if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
                    del sys.modules[name]

    return invoke


class Terminal(io.StringIO):
    """
    A stream that passes for a terminal, and keeps the text written to it.
    """

    def isatty(self) -> bool:
        return True

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """
        Make it stdout and stderr.
        """
        with contextlib.redirect_stdout(self), contextlib.redirect_stderr(self):
            yield


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """
    A terminal of 40 columns, without colour.
    """
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    return Terminal()


@pytest.fixture
def environment(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """
    The environment of a process that finds this checkout, without variables that change its output.
    """
    unwanted = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "CI"}
    # The first process compiles the modules for all others, and not into the checkout.
    unwanted.add("PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {
        **kept,
        "PYTHONPATH": str(checkout),
        "PYTHONPYCACHEPREFIX": str(tmp_path_factory.getbasetemp() / "bytecode"),
        "TERM": "xterm-256color",
    }


class Program(subprocess.Popen[bytes]):
    """
    A program that doesn't outlive a test that has failed.
    """

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is not None:
            self.kill()  # or the test would wait for its end
        super().__exit__(exc_type, *rest)


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Program]:
    """
    Start ``python -m eventbus`` in an empty directory.
    """

    def popen(*args: str, **more: Any) -> Program:
        more = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": environment,
            **more,
        }
        return Program([sys.executable, "-m", "eventbus", *args], cwd=tmp_path, **more)

    return popen


@pytest.fixture
def write_frames(tmp_path: Path) -> Callable[..., Path]:
    """
    Write a file of frames: objects as JSON, text as it is, a line each.
    """

    def write(*lines: Any, name: str = "call.jsonl") -> Path:
        path = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_module(tmp_path: Path) -> Callable[[str, str], Path]:
    """
    Write a module with the imports that handlers need, and then the given text.
    """

    def write(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(
            "from eventbus import EventBus, Mailbox, Overflow, on\n"
            "from eventbus.events import *\n"
            f"{source}",
            encoding="utf-8",
        )
        return path

    return write


@pytest.fixture
def taken_port() -> Iterator[int]:
    """
    A port that somebody else listens at.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
