"""
TLS to a real server, with certificates made for the test.
"""

from __future__ import annotations

import logging
import ssl

import pytest

from eventbus import BridgeConnectionError, EventBus
from eventbus.bridges.nats import NatsBridge
from tests.bridges.collecting import TIMEOUT, said

trustme = pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def authority():
    """
    The authority that has signed the server's certificate, and the clients'.
    """
    return trustme.CA()


@pytest.fixture
def make_tls_server(make_server, authority, tmp_path):
    """
    Return a function that starts a server with a certificate for 127.0.0.1.
    """
    cert = authority.issue_cert("127.0.0.1")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key", "ca")}
    cert.cert_chain_pems[0].write_to_path(files["cert"])
    cert.private_key_pem.write_to_path(files["key"])
    authority.cert_pem.write_to_path(files["ca"])

    def make(*arguments: str):
        named = ["--tls", "--tlscert", files["cert"], "--tlskey", files["key"]]
        return make_server(*named, "--tlscacert", files["ca"], *arguments)

    return make


def trusting(authority) -> ssl.SSLContext:
    """
    Return a context that trusts *authority* only.
    """
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def enter(url: str, **options) -> None:
    async with NatsBridge(url, stream="tls", connect_timeout=5, **options):
        pass


async def test_events_go_over_tls_with_a_client_certificate(make_tls_server, authority):
    """
    A context in tls= is nats-py's, with the CA that it trusts and the certificate that it shows.
    """
    server = make_tls_server("--tlsverify")
    context = trusting(authority)
    authority.issue_cert("member.test").configure_cert(context)
    bus = EventBus()

    async with NatsBridge(server.url, stream="tls", tls=context) as bridge, bus:
        forwarding = bridge.forward(bus)
        bus.publish(said(1), sender="a")
        await forwarding.flush(TIMEOUT)
        assert forwarding.stats.stored == 1


@pytest.mark.parametrize("problem", ["another CA", "another name", "no client certificate"])
async def test_a_tls_problem_is_one_line_that_names_the_remedy(
    make_tls_server, authority, problem, caplog
):
    """
    A certificate that isn't trusted, or that the server misses, is told with a remedy.
    """
    caplog.set_level(logging.WARNING)
    server = make_tls_server(*(["--tlsverify"] if problem == "no client certificate" else []))
    context = trusting(trustme.CA() if problem == "another CA" else authority)
    options = {"tls_hostname": "nats.test"} if problem == "another name" else {}

    with pytest.raises(BridgeConnectionError, match=r"check tls=") as caught:
        await enter(server.url, tls=context, **options)

    assert "\n" not in str(caught.value)
    assert server.url in str(caught.value)
    assert caught.value.__cause__ is None
    assert caplog.records == []


async def test_a_server_with_tls_is_told_to_a_client_without(make_tls_server):
    """
    A client that was given no context trusts the system's CAs, which have not signed this one.
    """
    with pytest.raises(BridgeConnectionError, match=r"certificate.*check tls="):
        await enter(make_tls_server().url)


async def test_credentials_go_over_tls(make_tls_server, authority, caplog):
    """
    The right password opens the connection, and a wrong one is told as that; none is shown.
    """
    caplog.set_level(logging.DEBUG)
    server = make_tls_server("--user", "crm", "--pass", "right-words")
    context = trusting(authority)

    await enter(server.url, tls=context, user="crm", password="right-words")
    with pytest.raises(BridgeConnectionError, match="check the credentials") as caught:
        await enter(server.url, tls=context, user="crm", password="wrong-words")

    for words in ("right-words", "wrong-words"):
        assert words not in str(caught.value) + caplog.text
