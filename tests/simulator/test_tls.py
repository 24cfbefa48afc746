"""
TLS: a certificate that the server makes, and one that it is given; of the simulator and the proxy.
"""

from __future__ import annotations

import json
import ssl

import pytest
from websockets.asyncio.client import connect

from eventbus import EventBus
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Simulator

trustme = pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets has no other.
    """
    return "asyncio"


def trusting(ca_file):
    return ssl.create_default_context(cafile=str(ca_file))


async def test_client_that_trusts_the_file_connects():
    """
    With a certificate of its own making, the addresses are wss and https; its file is trust enough.
    """
    async with Simulator(tls=True, allow_host="phone.test") as sim:
        ca_file = sim.ca_file
        assert sim.url.startswith(f"wss://127.0.0.1:{sim.port}/")
        assert sim.base_url == f"https://127.0.0.1:{sim.port}/v1"
        for name in ("127.0.0.1", "localhost", "phone.test"):
            async with connect(
                f"wss://{name}:{sim.port}/v1/realtime?model=gpt-realtime",
                host="127.0.0.1",
                ssl=trusting(ca_file),
            ) as client:
                assert json.loads(await client.recv())["type"] == "session.created"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(sim.url)

    assert not ca_file.exists()
    assert sim.ca_file is None


async def test_certificate_of_ones_own():
    """
    A context with a certificate is used as it is, and no file is made.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async with Simulator(tls=context) as sim, connect(sim.url, ssl=client_context) as client:
        assert sim.ca_file is None
        assert json.loads(await client.recv())["type"] == "session.created"


async def test_proxy_speaks_tls_with_its_clients():
    """
    The proxy's side of the client is TLS, with and without TLS on the service's side.
    """
    bus = EventBus()
    async with Simulator() as sim, RealtimeProxy(sim.url, bus, tls=True) as proxy:
        ca_file = proxy.ca_file
        assert proxy.url.startswith("wss://")
        assert proxy.base_url.startswith("https://")
        async with connect(proxy.url, ssl=trusting(ca_file)) as client:
            assert json.loads(await client.recv())["type"] == "session.created"

    assert not ca_file.exists()


async def test_server_that_can_not_listen_leaves_no_file():
    """
    A port in use: the certificate's file is gone again.
    """
    async with Simulator() as other:
        sim = Simulator(port=other.port, tls=True)
        with pytest.raises(Exception, match="can't listen"):
            await sim.__aenter__()

    assert sim.ca_file is None
