"""InstanceService: how this process fares, for each service that it hosts."""

from importlib.metadata import version
from typing import Any

from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import instance_service_pb2 as pb
from meshgate.v1 import instance_service_pb2_grpc as rpc

_SERVICE = pb.DESCRIPTOR.services_by_name["InstanceService"]


class InstanceServicer(rpc.InstanceServiceServicer):
    """Tells of the services that it is given, one after the other as they are assembled."""

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}

    def add(self, service: Service) -> None:
        """From now on, tell of this one too."""
        self._services[service.name] = service

    def implementation(self) -> Implementation:
        return Implementation(_SERVICE, self, internal=True)

    async def DescribeInstance(  # noqa: N802
        self,
        request: pb.DescribeInstanceRequest,
        context: Any,
    ) -> pb.DescribeInstanceResponse:
        service = self._services.get(request.service)
        if service is None:
            raise InvalidRequestError("this process does not host the service", field="service")
        return pb.DescribeInstanceResponse(
            version=version("meshgate"), degraded_reasons=service.lacks()
        )
