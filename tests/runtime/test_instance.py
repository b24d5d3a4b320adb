"""What a process says of the services that it hosts."""

from typing import Any

import pytest

from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.instance import InstanceServicer
from meshgate.runtime.service import Service
from meshgate.v1 import instance_service_pb2 as pb


@pytest.fixture
def lacking() -> list[str]:
    return []


@pytest.fixture
def instance(lacking: list[str]) -> InstanceServicer:
    instance = InstanceServicer()
    instance.add(Service("quota", (), lacks=lambda: tuple(lacking)))
    instance.add(Service("auth", ()))
    return instance


async def described(instance: InstanceServicer, service: str) -> Any:
    return await instance.DescribeInstance(pb.DescribeInstanceRequest(service=service), None)


async def test_each_service_tells_what_it_lacks_at_present(
    instance: InstanceServicer, lacking: list[str]
) -> None:
    before = await described(instance, "quota")
    lacking.append("redis does not answer")
    after, other = await described(instance, "quota"), await described(instance, "auth")

    assert before.version
    assert list(before.degraded_reasons) == []
    assert list(after.degraded_reasons) == ["redis does not answer"]
    assert list(other.degraded_reasons) == []


async def test_a_service_that_is_not_hosted_here_is_refused(instance: InstanceServicer) -> None:
    with pytest.raises(InvalidRequestError):
        await described(instance, "cache")
