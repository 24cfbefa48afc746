from __future__ import annotations

import pytest

from eventbus.realtime.settings import (
    RealtimeAudioConfig,
    RealtimeAudioInputConfig,
    RealtimeAudioOutputConfig,
    RealtimeSessionModelSettings,
    RealtimeTurnDetectionConfig,
)
from tests.realtime.agents_source import declared_in


@pytest.mark.parametrize(
    "ours",
    [
        RealtimeAudioConfig,
        RealtimeAudioInputConfig,
        RealtimeAudioOutputConfig,
        RealtimeSessionModelSettings,
        RealtimeTurnDetectionConfig,
    ],
)
def test_settings_of_openai_agents_are_there(ours):
    """
    Whoever comes from there takes the settings along, but for what needs its agents.
    """
    there = declared_in("config")[ours.__name__]

    assert set(there) - {"handoffs"} <= set(ours.__annotations__)
