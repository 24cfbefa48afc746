"""
A call centre: calls on one bus, an agent for each that speaks first, and a supervisor.

    python examples/call_centre.py               # three simulated calls, without a key
    OPENAI_API_KEY=… python examples/call_centre.py --live

Every call has its own scope, session and tools. The supervisor's handlers have no sender, so they
see all calls; they also decide which refunds are approved. The agent hangs up with a tool.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence

from eventbus import Context, EventBus
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelTranscriptDoneEvent,
)
from eventbus.realtime.events import RealtimeToolApprovalRequired
from eventbus.realtime.inputs import RealtimeModelSendRawMessage
from eventbus.realtime.model import RealtimeModelConfig
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.realtime.tools import ToolContext
from eventbus.simulator import Simulator

SCENARIO = {
    "turns": [
        {"say": "Good morning, this is the flower shop. How can I help?"},
        {
            "when": "refund of 20",
            "call": {"tool": "refund", "arguments": {"amount": 20}},
            "then": "I have asked: {output}.",
        },
        {
            "when": "refund of 900",
            "call": {"tool": "refund", "arguments": {"amount": 900}},
            "then": "I have asked: {output}.",
        },
        {
            "when": "goodbye",
            "say": "Goodbye, and thank you for calling!",
            "call": {"tool": "hang_up", "arguments": {}},
        },
    ],
    "otherwise": "You said: {user}",
}

MAX_REFUND = 50

bus = EventBus()


# --- the supervisor: handlers without a sender see every call ----------------------------------


@bus.on(RealtimeModelTranscriptDoneEvent)
def listen_in(event: RealtimeModelTranscriptDoneEvent, context: Context) -> None:
    """Show what each agent says."""
    print(f"{context.sender}: {event.transcript}")


@bus.on(RealtimeToolApprovalRequired)
def decide(event: RealtimeToolApprovalRequired, context: Context) -> None:
    """Approve small refunds, and reject the others."""
    amount = json.loads(event.arguments)["amount"]
    if amount <= MAX_REFUND:
        event.approve()
    else:
        print(f"supervisor: no refund of {amount} for {context.sender}")
        event.reject("A refund of that size needs a letter")


@bus.on(RealtimeModelExceptionEvent)
def report(event: RealtimeModelExceptionEvent, context: Context) -> None:
    """Show failures; the other calls go on."""
    print(f"{context.sender}: {event.context}: {event.exception!r}")


# --- one call ----------------------------------------------------------------------------------


async def take_call(number: str, texts: Sequence[str], config: RealtimeModelConfig) -> None:
    """Run one call, with a caller who says *texts*."""
    with bus.scope(number) as scope:
        session = RealtimeSession(OpenAIRealtimeModel(), scope, config=config)

        @session.tool(needs_approval=True)
        def refund(amount: int) -> str:
            """Pay an amount back."""
            return f"{amount} will be paid back"

        @session.tool
        async def hang_up(context: ToolContext) -> str:
            """End the call, after saying goodbye; a phone would wait until that was heard."""
            await context.session.close()
            return "done"

        async with session, scope.stream(RealtimeModelTranscriptDoneEvent) as answers:
            # The agent speaks first: nobody has said anything, so a response is asked for.
            greet = RealtimeModelSendRawMessage({"type": "response.create"})
            await session.model.send_event(greet)
            await anext(answers)
            for text in texts:
                await session.send_message(text)
                await anext(answers)
            await session.wait_closed()  # the agent hangs up
    print(f"{number}: the call is over")


async def main(*, is_live: bool) -> None:
    """Take three calls at once."""
    calls = {
        "call-1": ["I would like a refund of 20", "Thank you, goodbye"],
        "call-2": ["I would like a refund of 900", "Then goodbye"],
        "call-3": ["goodbye"],
    }
    async with contextlib.AsyncExitStack() as stack:
        config: RealtimeModelConfig = {}
        if not is_live:
            service = await stack.enter_async_context(Simulator(SCENARIO, speed=math.inf))
            config = {"url": service.url, "api_key": "none"}
        await stack.enter_async_context(bus)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        for number, texts in calls.items():
            tasks.create_task(take_call(number, texts, config))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A call centre on one bus.")
    parser.add_argument("--live", action="store_true", help="call OpenAI, not the simulator")
    arguments = parser.parse_args()
    if arguments.live and not os.environ.get("OPENAI_API_KEY"):
        sys.exit("There is no key: set OPENAI_API_KEY, or leave --live out.")
    asyncio.run(main(is_live=arguments.live))
