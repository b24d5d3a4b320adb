"""RPCs that declare a permission, over every binding."""

from dataclasses import replace

import grpc
import pytest
from bindings import BINDINGS

from meshgate.runtime.authentication import RemoteAuthenticator
from meshgate.runtime.authorization import Authorizer, caller
from meshgate.runtime.errors import CredentialInvalidError, PermissionDeniedError
from meshgate.runtime.permissions import Caller
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of_call, status_of
from meshgate.v1 import auth_service_pb2 as auth_pb
from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import principal_pb2, provider_service_pb2
from meshgate.v1.key_service_pb2_grpc import KeyServiceStub

KEYS = pb.DESCRIPTOR.services_by_name["KeyService"]
AUTH = auth_pb.DESCRIPTOR.services_by_name["AuthService"]

CALLERS = {
    "root": Caller("admin", "default", roles=("admin",)),
    "of a viewer": Caller("key_viewer", "acme", roles=("viewer",)),
    "of nobody": Caller("key_nobody", "acme"),
    "of a team-admin without a team": Caller("key_lost", "acme", roles=("team-admin",)),
    "of the future": Caller("key_future", "acme", roles=("sorcerer",)),
}


class Callers:
    """Knows the callers above, from anywhere but 192.0.2.1."""

    def __init__(self):
        self.asked = []

    async def authenticate(self, credential, method, context):
        self.asked.append((credential.client_address, method))
        if credential.client_address == "192.0.2.1":
            raise PermissionDeniedError("not from there")
        if credential.text not in CALLERS:
            raise CredentialInvalidError("the key is not known")
        return CALLERS[credential.text]


class Keys:
    """Tells who called."""

    def __init__(self):
        self.callers = []

    async def _answer(self, request, context):
        self.callers.append(caller())
        return {
            pb.GetKeyRequest: pb.GetKeyResponse,
            pb.CreateKeyRequest: pb.CreateKeyResponse,
            pb.UpdateKeyRequest: pb.UpdateKeyResponse,
        }[type(request)]()

    CreateKey = GetKey = ListKeys = UpdateKey = DeleteKey = RevokeKey = RotateKey = _answer


@pytest.fixture
def callers():
    return Callers()


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture(params=BINDINGS)
async def stub(request, callers, keys):
    served = Implementation(KEYS, keys, authorizer=Authorizer(callers))
    async with BINDINGS[request.param]([served]) as channel:
        yield KeyServiceStub(channel)


def bearing(key, *more):
    return (("authorization", f"Bearer {key}"), *more)


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return error_of_call(raised.value, "auth")


async def test_who_has_the_permission_is_let_in_and_known_to_the_handler(stub, keys):
    await stub.GetKey(pb.GetKeyRequest(), metadata=bearing("of a viewer"))
    await stub.CreateKey(pb.CreateKeyRequest(), metadata=(("x-api-key", "root"),))

    assert keys.callers == [CALLERS["of a viewer"], CALLERS["root"]]


async def test_nobody_is_the_caller_where_the_call_is_over(stub):
    await stub.GetKey(pb.GetKeyRequest(), metadata=bearing("root"))

    with pytest.raises(LookupError):
        caller()


@pytest.mark.parametrize(
    "key", ["of a viewer", "of nobody", "of a team-admin without a team", "of the future"]
)
async def test_who_lacks_the_permission_is_refused(stub, keys, key):
    error = await refused(stub.CreateKey(pb.CreateKeyRequest(), metadata=bearing(key)))

    assert error.reason == "ERROR_REASON_PERMISSION_DENIED"
    assert error.values == {"permission": "keys.write"}
    assert keys.callers == []


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "ERROR_REASON_CREDENTIAL_MISSING"),
        ((("authorization", "Basic cm9vdA=="),), "ERROR_REASON_CREDENTIAL_MISSING"),
        (bearing("of a stranger"), "ERROR_REASON_CREDENTIAL_INVALID"),
        (bearing("x" * 9_000), "ERROR_REASON_CREDENTIAL_INVALID"),
        (bearing("root", ("x-envoy-external-address", "192.0.2.1")), "ERROR_REASON_PERMISSION_DENIED"),
    ],
)  # fmt: skip
async def test_who_is_not_known_is_refused(stub, keys, metadata, reason):
    error = await refused(stub.GetKey(pb.GetKeyRequest(), metadata=metadata))

    assert error.reason == reason
    assert keys.callers == []


async def test_the_authenticator_is_told_where_the_call_comes_from_and_what_it_is(stub, callers):
    await stub.GetKey(
        pb.GetKeyRequest(), metadata=bearing("root", ("x-envoy-external-address", "10.0.0.9"))
    )

    assert callers.asked == [("10.0.0.9", "/meshgate.v1.KeyService/GetKey")]


def fields(*paths):
    return ("x-meshgate-internal-fields", ",".join(paths))


@pytest.mark.parametrize(
    "path",
    [
        "name",
        "allowed_models",
        "allowedModels",
        "expire_time",
        "limits.amount",
        "limits.timeZone",
        "tags.any%2dthing",
    ],
)
async def test_fields_of_the_contract_may_be_named_in_json(stub, path):
    metadata = bearing("root", fields("name", path))

    await stub.CreateKey(pb.CreateKeyRequest(), metadata=metadata)


@pytest.mark.parametrize("path", ["bogus", "limits.amont", "key.name", "Name", "na%6de"])
async def test_a_field_that_the_contract_does_not_have_is_refused_by_its_path(stub, keys, path):
    metadata = bearing("root", fields("name", path))

    error = await refused(stub.UpdateKey(pb.UpdateKeyRequest(), metadata=metadata))

    assert (error.reason, error.field) == ("ERROR_REASON_INVALID_REQUEST", f"key.{path}")
    assert keys.callers == []


async def test_who_lacks_the_permission_does_not_learn_what_fields_there_are(stub):
    metadata = bearing("of a viewer", fields("bogus"))

    error = await refused(stub.CreateKey(pb.CreateKeyRequest(), metadata=metadata))

    assert error.reason == "ERROR_REASON_PERMISSION_DENIED"


def test_rpcs_that_declare_a_permission_are_not_served_without_an_authorizer():
    with pytest.raises(TypeError, match="CreateKey needs an authorizer"):
        list(Implementation(KEYS, Keys()).methods())


def test_an_authorizer_serves_no_rpc_that_declares_no_permission(callers):
    service = provider_service_pb2.DESCRIPTOR.services_by_name["ProviderService"]

    class Provider:
        async def Execute(self, request, context): ...

    with pytest.raises(TypeError, match="Execute declares no permission"):
        list(Implementation(service, Provider(), authorizer=Authorizer(callers)).methods())


class ScriptedAuth:
    """Answers as auth does."""

    def __init__(self, result):
        self.result = result
        self.items = []

    async def BatchAuthenticate(self, request, context):
        self.items.extend(request.items)
        return auth_pb.BatchAuthenticateResponse(results=[self.result])

    async def WatchPrincipals(self, request, context):
        yield auth_pb.WatchPrincipalsResponse()


@pytest.fixture(params=BINDINGS)
def binding(request):
    return BINDINGS[request.param]


async def test_a_service_elsewhere_asks_auth_who_calls(binding, keys):
    principal = principal_pb2.Principal(
        principal_id="key_1",
        organization_id="acme",
        team_id="core",
        roles=["viewer"],
        allowed_models=["gpt-*"],
    )
    auth = ScriptedAuth(auth_pb.AuthenticateResult(principal=principal))
    async with binding([Implementation(AUTH, auth)]) as to_auth:
        authorizer = Authorizer(RemoteAuthenticator(to_auth))
        async with binding([Implementation(KEYS, keys, authorizer=authorizer)]) as channel:
            await KeyServiceStub(channel).GetKey(
                pb.GetKeyRequest(),
                metadata=bearing("mg-x", ("x-envoy-external-address", "10.0.0.9")),
            )

    assert keys.callers == [Caller("key_1", "acme", "core", ("viewer",), ("gpt-*",))]
    assert auth.items == [
        auth_pb.AuthenticateItem(
            credential="mg-x",
            client_address="10.0.0.9",
            method="/meshgate.v1.KeyService/GetKey",
        )
    ]


async def test_a_refusal_of_auth_is_the_answer(binding, keys):
    refusal = status_of(CredentialInvalidError("the key expired", expire_time="then"))
    auth = ScriptedAuth(auth_pb.AuthenticateResult(refusal=refusal))
    async with binding([Implementation(AUTH, auth)]) as to_auth:
        authorizer = Authorizer(RemoteAuthenticator(to_auth))
        async with binding([Implementation(KEYS, keys, authorizer=authorizer)]) as channel:
            error = await refused(
                KeyServiceStub(channel).GetKey(pb.GetKeyRequest(), metadata=bearing("mg-x"))
            )

    assert (error.message, error.values) == ("the key expired", {"expire_time": "then"})
    assert keys.callers == []


async def test_an_answer_of_auth_that_says_nothing_lets_nobody_in(binding, keys):
    async with binding(
        [Implementation(AUTH, ScriptedAuth(auth_pb.AuthenticateResult()))]
    ) as to_auth:
        authorizer = Authorizer(RemoteAuthenticator(to_auth))
        async with binding([Implementation(KEYS, keys, authorizer=authorizer)]) as channel:
            error = await refused(
                KeyServiceStub(channel).GetKey(pb.GetKeyRequest(), metadata=bearing("mg-x"))
            )

    assert error.reason == "ERROR_REASON_INTERNAL"
    assert keys.callers == []


async def test_without_auth_nobody_is_let_in(keys):
    async with grpc.aio.insecure_channel("127.0.0.1:1") as to_auth:
        authorizer = Authorizer(RemoteAuthenticator(to_auth))
        served = Implementation(KEYS, keys, authorizer=authorizer)
        async with BINDINGS["in-process"]([served]) as channel:
            error = await refused(
                KeyServiceStub(channel).GetKey(pb.GetKeyRequest(), metadata=bearing("mg-x"))
            )

    assert error.reason == "ERROR_REASON_SERVICE_UNAVAILABLE"
    assert keys.callers == []


class TestCaller:
    member = Caller("key_1", "acme", "core")

    @pytest.mark.parametrize(
        ("roles", "permission", "reached"),
        [
            (("admin",), "organizations.write", {"ours", "theirs", "another team"}),
            (("organization-admin",), "keys.write", {"ours", "another team"}),
            (("organization-admin",), "users.write", {"ours", "another team"}),
            (("team-admin",), "keys.write", {"ours"}),
            (("viewer",), "keys.read", {"ours", "another team"}),
            (("team-admin", "viewer"), "keys.read", {"ours", "another team"}),
            (("team-admin", "viewer"), "keys.write", {"ours"}),
        ],
    )
    def test_a_permission_reaches_as_far_as_the_widest_role_that_has_it(
        self, roles, permission, reached
    ):
        who = replace(self.member, roles=roles)
        places = {
            "ours": ("acme", "core"),
            "another team": ("acme", "web"),
            "theirs": ("evil", "core"),
        }

        covered = {name for name, place in places.items() if who.covers(permission, *place)}

        assert covered == reached

    @pytest.mark.parametrize(
        ("role", "permission"),
        [
            ("organization-admin", "organizations.write"),
            ("team-admin", "users.read"),
            ("team-admin", "teams.write"),
            ("viewer", "keys.write"),
        ],
    )
    def test_a_role_permits_no_more_than_it_says(self, role, permission):
        who = replace(self.member, roles=(role,))

        with pytest.raises(PermissionDeniedError):
            who.reach(permission)

    @pytest.mark.parametrize(
        ("roles", "given", "may"),
        [
            (("admin",), ("admin", "viewer"), True),
            (("organization-admin",), ("organization-admin", "team-admin"), True),
            (("organization-admin",), ("admin",), False),
            (("team-admin",), ("team-admin",), True),
            (("team-admin",), ("viewer",), False),
            (("viewer",), ("organization-admin",), False),
            ((), (), True),
            ((), ("viewer",), False),
        ],
    )
    def test_nobody_gives_what_it_does_not_have(self, roles, given, may):
        assert replace(self.member, roles=roles).may_give(given) is may

    @pytest.mark.parametrize(
        ("own", "given", "may"),
        [
            ("gpt-4", "gpt-4", True),
            ("gpt-4", "gpt-*", False),
            ("gpt-*", "gpt-4", True),
            ("gpt-*", "gpt-", True),
            ("gpt-*", "gpt", False),
            ("gpt-*", "*", False),
            ("*", "*", True),
            ("*-mini", "gpt-*-mini", True),
            ("a*b*c", "axbyc", True),
            ("a*b*c", "acb", False),
            ("a*a", "a", False),
            ("a*bb*b", "abb", False),
            ("**", "anything", True),
        ],
    )
    def test_a_model_may_be_given_by_who_may_use_all_that_it_stands_for(self, own, given, may):
        who = replace(self.member, roles=("team-admin",), allowed_models=("other", own))

        assert who.may_give_model(given) is may

    def test_an_admin_may_give_models_that_it_may_not_use(self):
        assert replace(self.member, roles=("admin",)).may_give_model("*")
