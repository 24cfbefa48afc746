"""
Chaos: members, owners, servers and connections fail; no acknowledged event is lost or disordered.

Each run takes ``EVENTBUS_CHAOS_SECONDS``, by default 5; the figures in the docs are those of 600::

    EVENTBUS_CHAOS_SECONDS=600 pytest tests/attacks/bridges -s -o faulthandler_timeout=0
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib.util
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from eventbus.codec import unpacks
from tests.bridges.forwarder import TcpForwarder
from tests.bridges.servers import NO_SERVER, NatsServer, find_server

if importlib.util.find_spec("nats") is None:
    pytest.skip("nats-py isn't installed", allow_module_level=True)

import nats

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("EVENTBUS_CHAOS_SECONDS", "5"))
SEED = int(os.environ.get("EVENTBUS_CHAOS_SEED", "14"))
CALLS_OF_AN_OWNER = 150
PERIOD = 0.5
SCRIPT = Path(__file__).with_name("process.py")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """
    The event loop that nats-py runs in.
    """
    return "asyncio"


class Process:
    """
    A member or an owner, which may be killed and started again.
    """

    def __init__(self, folder: Path, name: str, role: str, url: str) -> None:
        self.name = name
        self._folder = folder
        self._role = role
        self._url = url
        self._incarnation = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._incarnation += 1
        log = self._folder / f"{self.name}-{self._incarnation}.log"
        more = []
        if self._role == "owner":
            more = [f"{self.name}-{self._incarnation}", str(CALLS_OF_AN_OWNER), str(PERIOD)]
        errors = self._folder / f"{self.name}-{self._incarnation}.err"
        with errors.open("wb") as file:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(SCRIPT), self._role, self._url, "chaos", str(log), *more),
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
            )
        assert await self._process.stdout.readline() == b"ready\n", errors.read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, number: signal.Signals) -> int:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        return await self._process.wait()

    async def restart(self) -> None:
        await self.end(signal.SIGKILL)
        await asyncio.sleep(0.5)
        await self.start()

    async def pause(self, seconds: float) -> None:
        self.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.send(signal.SIGCONT)


class Cluster:
    """
    One server, or three of which each has the stream.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.servers = []
        for number in range(size):
            (folder / f"nats{number}").mkdir()
            self.servers.append(NatsServer(folder / f"nats{number}"))
        if size > 1:
            self._join()

    def _join(self) -> None:
        from tests.bridges.servers import free_port

        ports = [free_port() for _ in self.servers]
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        for number, (server, port) in enumerate(zip(self.servers, ports, strict=True)):
            server.add("--name", f"n{number}", "--cluster_name", "chaos")
            server.add("--cluster", f"nats://127.0.0.1:{port}", "--routes", routes)

    @property
    def url(self) -> str:
        return self.servers[0].url

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


async def create_stream(urls: list[str], replicas: int) -> None:
    """
    Have a bridge create the stream, as soon as the servers have found each other.
    """
    from eventbus import BridgeError
    from eventbus.bridges.nats import NatsBridge

    end = time.monotonic() + 60
    while True:
        try:
            async with NatsBridge(urls, stream="chaos", replicas=replicas, partitions=32):
                return
        except BridgeError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.5)


async def content(urls: list[str]) -> dict[str, list[int]]:
    """
    Return the numbers of each call in the stream, in its order.
    """
    client = await nats.connect(urls)
    found: dict[str, list[int]] = collections.defaultdict(list)
    try:
        stream = client.jetstream()
        last = (await stream.stream_info("chaos")).state.last_seq
        subscription = await stream.subscribe("chaos.>", stream="chaos", ordered_consumer=True)
        while last:
            message = await subscription.next_msg(timeout=30)
            call = message.headers["Eventbus-Call"]
            found[call].append(int(unpacks(message.data).delta))
            if message.metadata.sequence.stream >= last:
                break
    finally:
        await client.close()
    return found


def handled(folder: Path) -> dict[str, list[tuple[int, int, str]]]:
    """
    Return each call's handlings, in the order of time: time, number, and the member's process.
    """
    found = collections.defaultdict(list)
    for log in folder.glob("member*.log"):
        for line in log.read_text().splitlines():
            at, call, number, _ = line.split()
            found[call].append((int(at), int(number), log.stem))
    return {call: sorted(handlings) for call, handlings in found.items()}


def check(folder: Path, stored: dict[str, list[int]]) -> dict[str, int]:
    """
    Return how many events were stored, lost, out of order and repeated.
    """
    figures = collections.Counter(stored=0, lost=0, disordered=0, handled=0, duplicates=0)
    by_call = handled(folder)
    for call, numbers in stored.items():
        # The stream has each event of a call once, in order, from the first one on.
        figures["stored"] += len(numbers)
        figures["disordered"] += numbers != list(range(len(numbers)))
        seen = [number for _, number, _ in by_call.get(call, [])]
        first = list(dict.fromkeys(seen))
        figures["handled"] += len(seen)
        figures["lost"] += len(set(numbers) - set(seen))
        figures["disordered"] += sum(a > b for a, b in itertools.pairwise(first))
        figures["duplicates"] += len(seen) - len(first)
    # All that a process was told to be stored is stored.
    for log in folder.glob("owner*.log"):
        acknowledged = max(
            (int(line.split()[1]) for line in log.read_text().splitlines()), default=0
        )
        there = sum(len(n) for call, n in stored.items() if call.rpartition("-")[0] == log.stem)
        figures["lost"] += max(0, acknowledged - there)
    return dict(figures)


async def run(folder: Path, cluster: Cluster, faults, replicas: int = 1) -> dict[str, int]:
    """
    Run two owners and three members for a while, with a fault every few seconds.
    """
    chance = random.Random(SEED)
    cluster.start()
    urls = cluster.urls
    await create_stream(urls, replicas)
    async with TcpForwarder(cluster.servers[0].port) as cable:
        servers = ",".join(urls)
        owners = [Process(folder, f"owner{n}", "owner", servers) for n in range(2)]
        members = [Process(folder, f"member{n}", "member", servers) for n in range(2)]
        members.append(Process(folder, "member2", "member", cable.url))
        happened: collections.Counter[str] = collections.Counter()
        try:
            for process in (*members, *owners):
                await process.start()
            await asyncio.sleep(3)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                name = chance.choice(faults)
                happened[name] += 1
                await fault(name, chance, owners, members, cluster, cable)
                await asyncio.sleep(chance.uniform(1, 3))
            for owner in owners:
                assert await owner.end(signal.SIGTERM) == 0
            stored = await content(urls)
            expected = sum(map(len, stored.values()))

            def is_handled() -> bool:
                by_call = handled(folder)
                return expected <= sum(len({n for _, n, _ in each}) for each in by_call.values())

            # Events that are missing after that long are lost.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(60, SECONDS / 2)):
                    while not is_handled():  # noqa: ASYNC110
                        await asyncio.sleep(0.5)
            for member in members:
                assert await member.end(signal.SIGTERM) == 0
        finally:
            for process in (*members, *owners):
                await process.end(signal.SIGKILL)
            cluster.stop()
    figures = check(folder, stored)
    print(f"\n{SECONDS:g} s, seed {SEED}: {dict(happened)}\n{figures}")  # noqa: T201
    return figures


async def fault(name, chance, owners, members, cluster, cable) -> None:
    """
    Let something fail, and be mended.
    """
    match name:
        case "kill member":
            await chance.choice(members).restart()
        case "stop member":
            await chance.choice(members).pause(chance.uniform(2.5, 5))
        case "kill owner":
            await chance.choice(owners).restart()
        case "stop owner":
            await chance.choice(owners).pause(chance.uniform(1, 3))
        case "restart server" | "kill server":
            server = chance.choice(cluster.servers)
            number = signal.SIGKILL if name == "kill server" else signal.SIGTERM
            await asyncio.to_thread(server.stop, number)
            await asyncio.sleep(chance.uniform(0.2, 3))
            await asyncio.to_thread(server.start)
        case "cut connection":
            cable.pause()
            await asyncio.sleep(chance.uniform(2.5, 6))
            cable.resume()
        case "kill leader":
            server = await leader(cluster)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.sleep(chance.uniform(1, 4))
            await asyncio.to_thread(server.start)


async def leader(cluster: Cluster) -> NatsServer:
    """
    Return the server that leads the stream.
    """
    while True:
        try:
            client = await nats.connect(cluster.urls, connect_timeout=2)
            try:
                info = await client.jetstream().stream_info("chaos")
            finally:
                await client.close()
            if info.cluster.leader:
                return cluster.servers[int(info.cluster.leader[1:])]
        except (nats.errors.Error, OSError, AttributeError):
            pass
        await asyncio.sleep(0.3)


@pytest.fixture(autouse=True)
def _server() -> None:
    """
    Skip where there is no server.
    """
    if find_server() is None:
        pytest.skip(NO_SERVER)


async def test_nothing_is_lost_whatever_is_killed(tmp_path):
    """
    All acknowledged events are handled, in order within each call, when members, owners, server
    or connection are killed or stopped.
    """
    faults = [
        *("kill member", "stop member", "kill owner", "stop owner"),
        *("restart server", "kill server", "cut connection"),
    ]

    figures = await run(tmp_path, Cluster(tmp_path, 1), faults)

    assert figures["stored"] > 0
    assert (figures["lost"], figures["disordered"]) == (0, 0)


async def test_nothing_is_lost_when_a_cluster_loses_its_leader(tmp_path):
    """
    A stream with three replicas whose leader is killed loses and disorders nothing.
    """
    figures = await run(tmp_path, Cluster(tmp_path, 3), ["kill leader", "stop member"], replicas=3)

    assert figures["stored"] > 0
    assert (figures["lost"], figures["disordered"]) == (0, 0)


async def test_without_failures_nothing_is_repeated(tmp_path):
    """
    Without failures, each event is handled exactly once.
    """
    figures = await run(tmp_path, Cluster(tmp_path, 1), ["nothing"])

    assert (figures["lost"], figures["disordered"], figures["duplicates"]) == (0, 0, 0)
