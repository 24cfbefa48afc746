"""
Fixtures and settings of all tests: both event loops, and Hypothesis without a clock.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from eventbus import EventBus

# No deadline anywhere: a machine that is busy with something else is no bug of ours.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("short", settings.get_profile("ci"), max_examples=20)
settings.register_profile("local", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "local"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """
    Keep the garbage collector away from the modules and tests that the whole run keeps.

    Many a test collects garbage, to see that nothing is left of an event or of a scope. It would
    take a third of a second each time to look at all that a dozen SDKs have made at their import.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> None:
    """
    Let SIGINT end the programs that tests start, though a shell in the background ignores it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # which they would inherit
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    The event loop that async tests run in: each of the two, one after the other.
    """
    return request.param


@pytest.fixture
def bus() -> EventBus:
    """
    A bus of the test's own; it doesn't run.
    """
    return EventBus()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """
    The folder that has setup.cfg, README.md and the package.
    """
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def corpus(checkout: Path) -> Path:
    """
    Recorded sessions of several vendors, which lie beside the checkout and not in it.
    """
    path = checkout.parent / "shared" / "corpus"
    if not path.is_dir():
        pytest.skip("there is no ../shared/corpus beside this checkout")
    return path
