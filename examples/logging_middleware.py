"""
Two middlewares: the one that ships, which logs events without what was said, and one of our own.

The standard library's logging does the rest: here, a line of JSON for each record.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from recorded_call import events

from eventbus import EventBus, LoggingMiddleware
from eventbus.events import RealtimeModelRawServerEvent
from eventbus.middleware import CallNext


class JSONFormatter(logging.Formatter):
    """Formats what `LoggingMiddleware` puts into ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        facts = {"message": record.getMessage(), "sequence": record.__dict__.get("sequence")}
        facts["event_type"] = record.__dict__.get("event_type")
        facts["fields"] = record.__dict__.get("event_fields")
        return json.dumps(facts, default=repr)


def drop_raw(event: Any, call_next: CallNext) -> None:
    """Let no raw frame through: this program has no use for them."""
    if not isinstance(event, RealtimeModelRawServerEvent):
        call_next(event)


def main() -> None:
    """Publish a call, and log it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("eventbus.events")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    bus = EventBus(middleware=[drop_raw, LoggingMiddleware(logger)])
    for event in events():
        bus.publish(event)


if __name__ == "__main__":
    main()
