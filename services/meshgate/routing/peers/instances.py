"""How the instances of a service fare, by asking each of them."""

import asyncio
from typing import Any, cast

import grpc

from meshgate.runtime.channel import Instance, RemoteChannel
from meshgate.v1 import instance_service_pb2 as instance_pb
from meshgate.v1 import instance_service_pb2_grpc as rpc
from meshgate.v1 import status_service_pb2 as pb

IN_PROCESS = "in-process"


async def instances_of(service: str, channel: Any, timeout_seconds: float) -> list[Any]:
    """Every instance, as InstanceStatus; those that do not say, as far as is known."""
    if not isinstance(channel, RemoteChannel):
        known = pb.InstanceStatus(address=IN_PROCESS, serving=True)
        return [await _asked(known, service, channel, timeout_seconds)]
    asking = (
        _asked(_known(instance), service, instance, timeout_seconds)
        for instance in channel.instances
    )
    return list(await asyncio.gather(*asking))


def _known(instance: Instance) -> pb.InstanceStatus:
    host, port = instance.address
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return pb.InstanceStatus(address=address, serving=instance.serving)


async def _asked(
    known: pb.InstanceStatus, service: str, channel: Any, timeout_seconds: float
) -> pb.InstanceStatus:
    """What is known, and what the instance says of itself."""
    if not known.serving:
        return known
    stub: Any = rpc.InstanceServiceStub(cast("grpc.aio.Channel", channel))
    request = instance_pb.DescribeInstanceRequest(service=service)
    try:
        told = await stub.DescribeInstance(request, timeout=timeout_seconds)
    except grpc.aio.AioRpcError:
        return known  # an older one, or one that hangs: then its health will tell
    known.version = told.version
    known.degraded_reasons.extend(told.degraded_reasons)
    return known
