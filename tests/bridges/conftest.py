"""
A real nats-server for the tests of bridges.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.bridges.servers import NO_SERVER, NatsServer, find_server

# The tests need the extra nats; without it, the whole folder is left out.
collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("nats") is None else []

_numbers = count(1)


def pytest_report_header() -> str | None:
    """
    Tell that the tests of bridges are left out, if so.
    """
    return "bridges: left out, nats-py isn't installed" if collect_ignore_glob else None


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """
    The event loop that nats-py runs in.
    """
    return "asyncio"


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[object]:
    """
    Return a function that starts a server; each is ended with the test.
    """
    if find_server() is None:
        pytest.skip(NO_SERVER)
    made: list[NatsServer] = []

    def make(*arguments: str, jetstream: bool = True) -> NatsServer:
        folder = tmp_path / f"nats{len(made)}"
        folder.mkdir()
        server = NatsServer(folder, *arguments, jetstream=jetstream)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """
    A server that the tests of a run share; each uses a stream of its own.
    """
    if find_server() is None:
        pytest.skip(NO_SERVER)
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(shared_server: NatsServer) -> str:
    """
    The address of the shared server.
    """
    return shared_server.url


@pytest.fixture
def stream() -> str:
    """
    The name of a stream that no other test has.
    """
    return f"calls{next(_numbers)}"
