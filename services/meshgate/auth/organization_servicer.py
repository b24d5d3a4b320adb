"""OrganizationService: messages to the organizations that a caller reaches, and back."""

from typing import Any

from meshgate.auth.administration import AdministeredRecords
from meshgate.auth.directory import Query
from meshgate.auth.record_fields import changing, fields_of
from meshgate.auth.record_messages import organization_message, organization_record
from meshgate.auth.records import Organization
from meshgate.runtime.authorization import caller
from meshgate.v1 import organization_service_pb2 as pb
from meshgate.v1.organization_service_pb2_grpc import OrganizationServiceServicer

CHANGEABLE = ("name", "model_groups", "tags", "limits")
FIXED: tuple[str, ...] = ()


class OrganizationServicer(OrganizationServiceServicer):
    """Administers organizations."""

    def __init__(self, organizations: AdministeredRecords[Organization]) -> None:
        self._organizations = organizations

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, context: Any
    ) -> pb.CreateOrganizationResponse:
        with fields_of("organization"):
            record = await self._organizations.create(
                caller(), organization_record(request.organization)
            )
        return pb.CreateOrganizationResponse(organization=organization_message(record))

    async def GetOrganization(
        self, request: pb.GetOrganizationRequest, context: Any
    ) -> pb.GetOrganizationResponse:
        record = await self._organizations.get(caller(), request.id)
        return pb.GetOrganizationResponse(organization=organization_message(record))

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, context: Any
    ) -> pb.ListOrganizationsResponse:
        query = Query(name_prefix=request.name_prefix)
        page = await self._organizations.list(
            caller(), query, request.page_size, request.page_token
        )
        return pb.ListOrganizationsResponse(
            organizations=[organization_message(record) for record in page.records],
            next_page_token=page.next_page_token,
        )

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, context: Any
    ) -> pb.UpdateOrganizationResponse:
        organization = request.organization
        with fields_of("organization"):
            wanted = organization_record(organization)
        change = changing(organization, request.update_mask, wanted, CHANGEABLE, FIXED)
        with fields_of("organization"):
            record = await self._organizations.update(
                caller(), organization.id, change, organization.etag
            )
        return pb.UpdateOrganizationResponse(organization=organization_message(record))

    async def DeleteOrganization(
        self, request: pb.DeleteOrganizationRequest, context: Any
    ) -> pb.DeleteOrganizationResponse:
        await self._organizations.delete(caller(), request.id, request.etag)
        return pb.DeleteOrganizationResponse()
