"""Organizations, teams and keys for tests of who reaches what."""

from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import organization_service_pb2 as organizations_pb
from meshgate.v1 import team_service_pb2 as teams_pb
from meshgate.v1 import user_service_pb2 as users_pb


class World:
    """Two organizations, the first with two teams, with a key in every place."""

    def __init__(self, api):
        self.api = api
        self.ids = {}

    async def fill(self):
        for name in ("acme", "evil"):
            asked = organizations_pb.Organization(name=name)
            made = await self.api.call(
                "CreateOrganization", organizations_pb.CreateOrganizationRequest(organization=asked)
            )
            self.ids[name] = made.organization.id
        for name, of in (("core", "acme"), ("web", "acme"), ("theirs", "evil")):
            asked = teams_pb.Team(name=name, organization_id=self.ids[of])
            made = await self.api.call("CreateTeam", teams_pb.CreateTeamRequest(team=asked))
            self.ids[name] = made.team.id
        for name, of in (("ada", "acme"), ("eve", "evil")):
            asked = users_pb.User(name=name, organization_id=self.ids[of])
            made = await self.api.call("CreateUser", users_pb.CreateUserRequest(user=asked))
            self.ids[name] = made.user.id
        await self.key("k-acme", "acme")
        await self.key("k-core", "acme", "core")
        await self.key("k-web", "acme", "web")
        await self.key("k-evil", "evil")
        await self.key("k-admin", "acme", "core", roles=["admin"])
        await self.key("k-llama", "acme", "core", allowed_models=["llama"])
        acme, core = self.ids["acme"], self.ids["core"]
        callers = self.api.callers
        callers.add("org-admin", "organization-admin", organization_id=acme)
        callers.add("team-admin", "team-admin", organization_id=acme, team_id=core)
        callers.add("viewer", "viewer", organization_id=acme, team_id=core)
        callers.add("nobody", organization_id=acme, team_id=core)

    async def key(self, name, organization, team="", **fields):
        asked = pb.Key(
            name=name,
            organization_id=self.ids[organization],
            team_id=self.ids.get(team, ""),
            **fields,
        )
        made = await self.api.call("CreateKey", pb.CreateKeyRequest(key=asked))
        self.ids[name] = made.key.id

    async def call(self, caller, rpc, request):
        return await self.api.call(rpc, request, caller)

    async def refused(self, caller, rpc, request):
        return (await self.api.refused(rpc, request, caller)).reason.removeprefix("ERROR_REASON_")

    async def create(self, caller, **fields):
        """Make a key, with the ids of what is named."""
        return await self.call(caller, "CreateKey", self.creating(**fields))

    def creating(self, name="new", organization="", team="", user="", roles=()):
        ids = {"": "", **self.ids}
        asked = pb.Key(
            name=name,
            organization_id=ids[organization],
            team_id=ids[team],
            user_id=ids[user],
            roles=roles,
        )
        return pb.CreateKeyRequest(key=asked)
