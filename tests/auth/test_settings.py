import pytest
from auth.opened_records import PEPPER

from meshgate.auth.settings import Settings
from meshgate.runtime.environment import Environment, SettingError

URL = "postgresql://meshgate:hunter2@db/auth"


def test_the_environment_is_read():
    settings = Settings.read(
        Environment(
            {
                "MESHGATE_ADMIN_KEY": "hunter2",
                "AUTH_HEARTBEAT": "50ms",
                "AUTH_DATABASE_URL": URL,
                "MESHGATE_KEY_PEPPER": PEPPER,
            }
        )
    )

    assert settings == Settings("hunter2", 0.05, URL, PEPPER)
    assert "hunter2" not in repr(settings)
    assert PEPPER not in repr(settings)


def test_an_empty_environment_gives_the_defaults():
    assert Settings.read(Environment({})) == Settings(admin_key=None, heartbeat_seconds=0.3)


@pytest.mark.parametrize("pepper", ["", "hunter2", ",", f"{PEPPER},hunter2"])
def test_a_database_needs_a_pepper_that_is_long_enough(pepper):
    variables = {"AUTH_DATABASE_URL": URL, "MESHGATE_KEY_PEPPER": pepper}

    with pytest.raises(SettingError, match="MESHGATE_KEY_PEPPER") as caught:
        Settings.read(Environment(variables))

    assert "hunter2" not in str(caught.value)


def test_without_a_database_no_pepper_is_needed():
    assert Settings.read(Environment({"MESHGATE_KEY_PEPPER": "short"})).key_pepper == "short"
