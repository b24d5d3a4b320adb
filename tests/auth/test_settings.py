from meshgate.auth.settings import Settings
from meshgate.runtime.environment import Environment


def test_the_environment_is_read():
    settings = Settings.read(
        Environment({"MESHGATE_ADMIN_KEY": "hunter2", "AUTH_HEARTBEAT": "50ms"})
    )

    assert settings == Settings(admin_key="hunter2", heartbeat_seconds=0.05)
    assert "hunter2" not in repr(settings)


def test_an_empty_environment_gives_the_defaults():
    assert Settings.read(Environment({})) == Settings(admin_key=None, heartbeat_seconds=0.3)
