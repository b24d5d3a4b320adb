"""What routing is told by its environment."""

import pytest

from meshgate.routing.settings import Settings
from meshgate.runtime.environment import Environment, SettingError


def test_what_is_not_said_has_a_usual_value() -> None:
    settings = Settings.read(Environment({}))

    # Envoy cuts what rests for five minutes: the client is to hear of it before.
    assert settings == Settings(hold_seconds=30, idle_seconds=240)


def test_durations_are_read() -> None:
    env = Environment({"ROUTING_HOLD_TTL": "3s", "ROUTING_CONVERSATION_IDLE": "2m"})

    assert Settings.read(env) == Settings(hold_seconds=3, idle_seconds=120)


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(SettingError):
        Settings.read(Environment({"ROUTING_CONVERSATION_IDLE": "long"}))
