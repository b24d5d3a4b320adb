"""The token by which the services of a mesh know each other."""

import pytest

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import MeshIdentityError
from meshgate.runtime.identity import TOKEN_KEY, MeshIdentity

IDENTITY = MeshIdentity("the token")


def test_what_one_sends_the_other_takes() -> None:
    IDENTITY.verify((("x-request-id", "r"), *IDENTITY.metadata()))


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        ((TOKEN_KEY, ""),),
        ((TOKEN_KEY, "the toke"),),
        ((TOKEN_KEY, "the token "),),
        ((TOKEN_KEY, "größer"),),
        ((TOKEN_KEY, b"the token"),),
        ((TOKEN_KEY, "wrong"), (TOKEN_KEY, "the token")),
        (("authorization", "the token"),),
    ],
)
def test_whoever_does_not_carry_the_token_is_refused(metadata: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(MeshIdentityError) as raised:
        IDENTITY.verify(metadata)

    assert "the token" not in str(raised.value).replace("the token of the mesh", "")


def test_a_mesh_that_does_without_takes_everyone() -> None:
    open_mesh = MeshIdentity(None)

    open_mesh.verify(())
    assert open_mesh.metadata() == ()


def test_a_token_is_demanded_unless_the_mesh_is_said_to_be_insecure() -> None:
    assert MeshIdentity.read(Environment({"MESHGATE_MESH_TOKEN": "t"})) == MeshIdentity("t")
    assert MeshIdentity.read(Environment({"MESHGATE_INSECURE_MESH": "true"})) == MeshIdentity(None)
    with pytest.raises(SettingError, match="MESHGATE_MESH_TOKEN is not set"):
        MeshIdentity.read(Environment({}))


@pytest.mark.parametrize("token", ["two\nlines", "größer", " padded ", "tab\t"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(SettingError, match="MESHGATE_MESH_TOKEN") as raised:
        MeshIdentity.read(Environment({"MESHGATE_MESH_TOKEN": token}))

    assert token not in str(raised.value)


def test_the_token_is_not_shown() -> None:
    assert "the token" not in repr(IDENTITY)
    assert "the token" not in f"{[IDENTITY]}"
