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
    Settings of openai-agents can be used here, except for those that need its agents.
    """
    there = declared_in("config")[ours.__name__]

    assert set(there) - {"handoffs"} <= set(ours.__annotations__)
