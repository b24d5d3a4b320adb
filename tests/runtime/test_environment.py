"""Typed reading of environment variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.settings import ServerSettings

TOKEN = {"MESHGATE_MESH_TOKEN": "t"}


def test_what_is_set_is_read() -> None:
    env = Environment({"T": "text", "N": "-7", "D": "300ms", "F": "Yes", "C": "b"})

    assert env.text("T") == "text"
    assert env.integer("N", 1) == -7
    assert env.seconds("D", 1) == pytest.approx(0.3)
    assert env.flag("F", default=False) is True
    assert env.choice("C", ("a", "b"), "a") == "b"


@pytest.mark.parametrize("variables", [{}, {"X": ""}])
def test_what_is_unset_or_empty_is_the_default(variables: dict[str, str]) -> None:
    env = Environment(variables)

    assert env.optional_text("X") is None
    assert env.text("X", "d") == "d"
    assert env.integer("X", 3) == 3
    assert env.seconds("X", 2.5) == 2.5
    assert env.flag("X", default=True) is True
    assert env.choice("X", ("a", "b"), "a") == "a"


def test_a_text_without_default_must_be_set() -> None:
    with pytest.raises(SettingError, match="X is not set"):
        Environment({}).text("X")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("1.5s", 1.5), ("250ms", 0.25), ("2m", 120), ("1h", 3600), ("30d", 2_592_000)],
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert Environment({"X": text}).seconds("X", 1) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["1", "s", "-1s", "1 s", "1e3s", ".5s", "1s1s", "1S", "nans"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match=r"X is .* must be a duration"):
        Environment({"X": text}).seconds("X", 1)


@given(st.integers(0, 10_000_000))
def test_a_duration_is_the_same_in_every_unit(milliseconds: int) -> None:
    env = Environment({"A": f"{milliseconds}ms", "B": f"{milliseconds / 1000:.3f}s"})

    assert env.seconds("A", 1) == pytest.approx(env.seconds("B", 1))


def test_what_is_no_number_flag_or_choice_is_refused_by_name() -> None:
    env = Environment({"X": "maybe"})

    with pytest.raises(SettingError, match="X is 'maybe'; it must be a whole number"):
        env.integer("X", 1)
    with pytest.raises(SettingError, match="X is 'maybe'; it must be true or false"):
        env.flag("X", default=True)
    with pytest.raises(SettingError, match="X is 'maybe'; it may be one of a, b"):
        env.choice("X", ("a", "b"), "a")


def test_a_server_is_told_by_its_environment() -> None:
    settings = ServerSettings.read(
        Environment(
            TOKEN
            | {
                "MESHGATE_LISTEN": "0.0.0.0:7",
                "MESHGATE_METRICS_LISTEN": "0.0.0.0:8",
                "MESHGATE_SERVER_STACK": "grpc",
                "MESHGATE_DRAIN_NOTICE": "1s",
                "MESHGATE_DRAIN_GRACE": "2m",
            }
        )
    )

    assert (settings.listen, settings.metrics_listen) == ("0.0.0.0:7", "0.0.0.0:8")
    assert settings.stack == "grpc"
    assert (settings.drain_notice_seconds, settings.drain_grace_seconds) == (1, 120)


def test_a_server_that_is_told_nothing_is_native_and_local() -> None:
    settings = ServerSettings.read(Environment(TOKEN))

    assert settings.stack == "native"
    assert settings.listen.startswith("127.0.0.1:")
    assert settings.metrics_listen is None
