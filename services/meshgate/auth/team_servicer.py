"""TeamService: messages to the teams that a caller reaches, and back."""

from typing import Any

from meshgate.auth.administration import AdministeredRecords
from meshgate.auth.directory import Query
from meshgate.auth.record_fields import changing, fields_of
from meshgate.auth.record_messages import team_message, team_record
from meshgate.auth.records import Team
from meshgate.runtime.authorization import caller
from meshgate.v1 import team_service_pb2 as pb
from meshgate.v1.team_service_pb2_grpc import TeamServiceServicer

CHANGEABLE = ("name", "tags", "limits")
FIXED = ("organization_id",)


class TeamServicer(TeamServiceServicer):
    """Administers teams."""

    def __init__(self, teams: AdministeredRecords[Team]) -> None:
        self._teams = teams

    async def CreateTeam(
        self, request: pb.CreateTeamRequest, context: Any
    ) -> pb.CreateTeamResponse:
        with fields_of("team"):
            record = await self._teams.create(caller(), team_record(request.team))
        return pb.CreateTeamResponse(team=team_message(record))

    async def GetTeam(self, request: pb.GetTeamRequest, context: Any) -> pb.GetTeamResponse:
        record = await self._teams.get(caller(), request.id)
        return pb.GetTeamResponse(team=team_message(record))

    async def ListTeams(self, request: pb.ListTeamsRequest, context: Any) -> pb.ListTeamsResponse:
        query = Query(organization_id=request.organization_id, name_prefix=request.name_prefix)
        page = await self._teams.list(caller(), query, request.page_size, request.page_token)
        return pb.ListTeamsResponse(
            teams=[team_message(record) for record in page.records],
            next_page_token=page.next_page_token,
        )

    async def UpdateTeam(
        self, request: pb.UpdateTeamRequest, context: Any
    ) -> pb.UpdateTeamResponse:
        team = request.team
        with fields_of("team"):
            wanted = team_record(team)
        change = changing(team, request.update_mask, wanted, CHANGEABLE, FIXED)
        with fields_of("team"):
            record = await self._teams.update(caller(), team.id, change, team.etag)
        return pb.UpdateTeamResponse(team=team_message(record))

    async def DeleteTeam(
        self, request: pb.DeleteTeamRequest, context: Any
    ) -> pb.DeleteTeamResponse:
        await self._teams.delete(caller(), request.id, request.etag)
        return pb.DeleteTeamResponse()
