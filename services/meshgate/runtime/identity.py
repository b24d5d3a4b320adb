"""How the services of one mesh know each other: a token that all of them share."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import MeshIdentityError

TOKEN_KEY = "x-meshgate-mesh-token"  # noqa: S105 - the header's name


@dataclass(frozen=True)
class MeshIdentity:
    """The token of the mesh; None where the mesh was told to do without."""

    token: str | None

    @classmethod
    def read(cls, env: Environment) -> "MeshIdentity":
        token = env.optional_text("MESHGATE_MESH_TOKEN")
        if token is None and not env.flag("MESHGATE_INSECURE_MESH", default=False):
            raise SettingError(
                "MESHGATE_MESH_TOKEN is not set: give every service of the mesh the same random "
                "token, or set MESHGATE_INSECURE_MESH=true on a network where nobody else is"
            )
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingError("MESHGATE_MESH_TOKEN may hold only printable ASCII, without spaces")
        return cls(token)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What an outgoing call carries."""
        return () if self.token is None else ((TOKEN_KEY, self.token),)

    def verify(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Check an incoming call.

        Raises:
            MeshIdentityError: It does not carry the token.
        """
        if self.token is None:
            return
        for key, value in metadata:
            if key == TOKEN_KEY and isinstance(value, str):
                if hmac.compare_digest(value.encode(), self.token.encode()):
                    return
                break
        raise MeshIdentityError("this call does not carry the token of the mesh")

    def __repr__(self) -> str:
        return "MeshIdentity()" if self.token is None else "MeshIdentity(token=...)"
