"""
`eventbus.cli.terminal.addresses`: where a service is, for programs.
"""

from __future__ import annotations

import json

from eventbus.cli.terminal.addresses import ADDRESS_SCHEMA, address_json


def test_address_is_one_line_with_its_schema():
    """
    It has the URLs, the other facts, and the schema first.
    """
    line = address_json("ws://h:1/v1/realtime", "http://h:1/v1", scenario="a\nb")

    assert "\n" not in line
    assert list(json.loads(line).items()) == [
        ("schema", ADDRESS_SCHEMA),
        ("scenario", "a\nb"),
        ("url", "ws://h:1/v1/realtime"),
        ("base_url", "http://h:1/v1"),
    ]
