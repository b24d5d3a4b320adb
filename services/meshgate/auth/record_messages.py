"""Records of auth as messages, and back.

What stands in fields that are output only is not looked at.
"""

from datetime import datetime

from meshgate.auth.record_fields import limit_messages, limits_of, moment_in, timestamp
from meshgate.auth.records import Key, Organization, Team, User
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import (
    key_service_pb2,
    organization_service_pb2,
    team_service_pb2,
    user_service_pb2,
)


def key_message(record: Key, now: datetime) -> key_service_pb2.Key:
    """A key, as it is at a moment."""
    return key_service_pb2.Key(
        id=record.key_id,
        name=record.name,
        organization_id=record.organization_id,
        team_id=record.team_id,
        user_id=record.user_id,
        roles=record.roles,
        allowed_models=record.allowed_models,
        allowed_networks=record.allowed_networks,
        expire_time=timestamp(record.expire_time),
        tags=record.tags,
        limits=limit_messages(record.limits),
        state=_state(record, now),
        last_characters=record.last_characters,
        creator_id=record.created_by,
        # One of the configuration has none of these.
        create_time=timestamp(record.create_time if record.etag else None),
        update_time=timestamp(record.update_time if record.etag else None),
        revoke_time=timestamp(record.revoke_time),
        overlap_end_time=timestamp(record.overlap_end_time),
        etag=record.etag,
    )


def key_record(message: key_service_pb2.Key) -> Key:
    """The key that a message asks for.

    Raises:
        InvalidRequestError: A limit or the time cannot be.
    """
    return Key(
        organization_id=message.organization_id,
        team_id=message.team_id,
        user_id=message.user_id,
        name=message.name,
        allowed_models=tuple(message.allowed_models),
        allowed_networks=tuple(message.allowed_networks),
        roles=tuple(message.roles),
        limits=limits_of(message.limits),
        tags=dict(message.tags),
        expire_time=moment_in(message, "expire_time"),
    )


def team_message(record: Team) -> team_service_pb2.Team:
    """A team."""
    return team_service_pb2.Team(
        id=record.team_id,
        name=record.name,
        organization_id=record.organization_id,
        tags=record.tags,
        limits=limit_messages(record.limits),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=record.etag,
    )


def team_record(message: team_service_pb2.Team) -> Team:
    """The team that a message asks for.

    Raises:
        InvalidRequestError: A limit cannot be.
    """
    return Team(
        organization_id=message.organization_id,
        name=message.name,
        limits=limits_of(message.limits),
        tags=dict(message.tags),
    )


def user_message(record: User) -> user_service_pb2.User:
    """A user."""
    return user_service_pb2.User(
        id=record.user_id,
        name=record.name,
        organization_id=record.organization_id,
        email=record.email,
        roles=record.roles,
        team_ids=record.team_ids,
        tags=record.tags,
        limits=limit_messages(record.limits),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=record.etag,
    )


def user_record(message: user_service_pb2.User) -> User:
    """The user that a message asks for.

    Raises:
        InvalidRequestError: A limit cannot be.
    """
    return User(
        organization_id=message.organization_id,
        name=message.name,
        email=message.email,
        roles=tuple(message.roles),
        team_ids=tuple(message.team_ids),
        limits=limits_of(message.limits),
        tags=dict(message.tags),
    )


def organization_message(record: Organization) -> organization_service_pb2.Organization:
    """An organization."""
    return organization_service_pb2.Organization(
        id=record.organization_id,
        name=record.name,
        model_groups=[
            organization_service_pb2.ModelGroup(name=name, models=models)
            for name, models in record.model_groups.items()
        ],
        tags=record.tags,
        limits=limit_messages(record.limits),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=record.etag,
    )


def organization_record(message: organization_service_pb2.Organization) -> Organization:
    """The organization that a message asks for.

    Raises:
        InvalidRequestError: A limit cannot be, or a model group is there twice.
    """
    groups = {group.name: tuple(group.models) for group in message.model_groups}
    if len(groups) < len(message.model_groups):
        raise InvalidRequestError(
            "model_groups: two groups have the same name", field="model_groups"
        )
    return Organization(
        name=message.name,
        limits=limits_of(message.limits),
        model_groups=groups,
        tags=dict(message.tags),
    )


def _state(record: Key, now: datetime) -> "key_service_pb2.KeyState.ValueType":
    if record.revoke_time is not None:
        return key_service_pb2.KEY_STATE_REVOKED
    if record.expire_time is not None and record.expire_time <= now:
        return key_service_pb2.KEY_STATE_EXPIRED
    return key_service_pb2.KEY_STATE_ACTIVE
