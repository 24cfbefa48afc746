"""
`eventbus.cli.apps`: the objects that ``--app`` finds, and the errors if it finds none.
"""

from __future__ import annotations

import json

import pytest

FRAME = {"type": "response.created", "response": {"id": "resp_1"}}

MODULE = """
bus = EventBus()

@bus.on(RealtimeModelTurnStartedEvent)
def on_bus(event): pass

@on(RealtimeModelTurnStartedEvent)
def marked(event): pass

class Listener:
    @on(RealtimeModelTurnStartedEvent)
    def method(self, event): pass

listener = Listener()

class Holder:
    inner = Listener()

class Needy:
    def __init__(self, name): pass

number = 7

def plain(): return 7
def failing(): raise LookupError("no table")
async def later(): pass
"""


@pytest.mark.parametrize(
    ("spec", "handler"),
    [
        ("agent:bus", "on_bus"),
        ("agent:listener", "method"),
        ("agent:Listener", "method"),
        ("agent:marked", "marked"),
        ("agent:Holder.inner", "method"),
        ("agent", "marked"),
    ],
)
def test_app_is_a_bus_or_a_listener(run, write_module, write_frames, spec, handler):
    """
    A bus, an object, a class, a marked function and a module get the events, and print no others.
    """
    write_module("agent", MODULE)

    result = run("replay", str(write_frames(FRAME)), "--app", spec, "--json")

    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    calls = json.loads(line)["summary"]["calls"]
    assert [call["handler"].rpartition(".")[2] for call in calls] == [handler]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("agent:number", "agent:number is neither a bus nor a listener"),
        ("agent:nothing", "agent has no nothing"),
        ("agent:listner", "Did you mean agent:listener?"),
        ("agent:plain", "must return a RealtimeSession; it returned int"),
        ("agent:failing", "agent:failing() failed: LookupError: no table"),
        ("agent:later", "agent:later is async"),
        ("agent:on_bus", "agent:on_bus is a function without the mark @on"),
        ("agent.py:bus", "write the module, agent:bus."),
        ("./shop/agent.py", "write the module, shop.agent."),
        ("agent:Needy", "make an instance in the module"),
        ("nowhere:bus", "There is no module nowhere"),
        ("agent.inner:bus", "There is no module agent.inner"),
        ("broken:bus", "SyntaxError: invalid syntax (broken.py:3)"),
        ("needy:bus", "needy needs the module nowhere_else"),
        ("failing:bus", "ZeroDivisionError: division by zero (failing.py:3)"),
        ("plain", "plain has no handlers"),
        ("busy", "did you mean busy:bus?"),
        (":bus", "MODULE:NAME"),
        ("agent:", "MODULE:NAME"),
        (".agent:bus", "MODULE:NAME"),
    ],
)
def test_what_is_no_app_is_a_usage_error_of_one_line(run, write_module, write_frames, spec, named):
    """
    A wrong ``--app`` ends with code 2 and a line that names the problem.
    """
    write_module("agent", MODULE)
    write_module("broken", "bus = = 1")
    write_module("needy", "import nowhere_else")
    write_module("failing", "1 / 0")
    write_module("plain", "")
    write_module(
        "busy", "bus = EventBus()\n@bus.on(RealtimeModelTurnStartedEvent)\ndef f(event): pass"
    )

    result = run("replay", str(write_frames(FRAME)), "--app", spec)

    assert result.exit_code == 2
    assert result.stdout == ""
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
    assert "'--app'" in error
    assert named in error


def test_factory_of_a_session_gives_its_bus(run, write_module, write_frames):
    """
    For commands without a live session, a factory stands for the bus of its session.
    """
    write_module(
        "agent",
        "from eventbus.realtime.openai import OpenAIRealtimeModel\n"
        "from eventbus.realtime.session import RealtimeSession\n"
        "bus = EventBus()\n"
        "@bus.on(RealtimeModelTurnStartedEvent)\ndef hear(event): print('heard')\n"
        "def new_session(): return RealtimeSession(OpenAIRealtimeModel(), bus)\n",
    )

    result = run("replay", str(write_frames(FRAME)), "--app", "agent:new_session")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("heard\n")
