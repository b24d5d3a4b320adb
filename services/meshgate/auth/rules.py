"""What the fields of records may hold."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network

from meshgate.auth.records import GROUP_PREFIX, Key, Organization, Record, Team, User
from meshgate.limits.limit import Limit
from meshgate.runtime.errors import InvalidRequestError

LONGEST_NAME = 128
LONGEST_EMAIL = 254
MOST_LIMITS = 16
"""With as many default ones, no more than a subject may have."""
MOST_TAGS = 32
MOST_ROLES = 16
MOST_TEAMS = 100
MOST_MODELS = 500
MOST_NETWORKS = 100
MOST_GROUPS = 100

_NAME = re.compile(
    rf"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{{0,{LONGEST_NAME - 2}}}[^\s\x00-\x1f\x7f-\x9f])?"
)
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f]{1,189}")
_LABEL = re.compile(r"[^\s*=\x00-\x1f\x7f]{1,63}")
_VALUE = re.compile(r"[^\x00-\x1f\x7f]{0,256}")
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")
_ID = re.compile(r"[a-z0-9_-]{1,64}")
_GROUP = re.compile(r"[^\s*:\x00-\x1f\x7f]{1,63}")


def checked_organization(record: Organization) -> Organization:
    """The organization, with its fields in order.

    Raises:
        InvalidRequestError: A field cannot be; `field` names it.
    """
    _check_shared(record)
    _check_count("model_groups", record.model_groups, MOST_GROUPS)
    for name, patterns in record.model_groups.items():
        _check_form("model_groups", name, _GROUP, "is not a name for a group")
        _check_models("model_groups", patterns)
        if any(pattern.startswith(GROUP_PREFIX) for pattern in patterns):
            raise _wrong("model_groups", f"the group {name!r} names another group", group=name)
    return record


def checked_team(record: Team) -> Team:
    """The team, with its fields in order.

    Raises:
        InvalidRequestError: A field cannot be; `field` names it.
    """
    _check_shared(record)
    return record


def checked_user(record: User) -> User:
    """The user, with its fields in order.

    Raises:
        InvalidRequestError: A field cannot be; `field` names it.
    """
    _check_shared(record)
    email = record.email.lower()
    if email and (len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email)):
        raise _wrong("email", "the e-mail is not an address such as ada@example.com")
    _check_roles(record.roles)
    _check_count("team_ids", record.team_ids, MOST_TEAMS)
    return replace(
        record, email=email, roles=_each_once(record.roles), team_ids=_each_once(record.team_ids)
    )


def checked_key(record: Key) -> Key:
    """The key, with its fields in order. Whether its groups exist is not looked at.

    Raises:
        InvalidRequestError: A field cannot be; `field` names it.
    """
    _check_shared(record)
    _check_roles(record.roles)
    _check_models("allowed_models", record.allowed_models)
    return replace(
        record,
        roles=_each_once(record.roles),
        allowed_models=_each_once(record.allowed_models),
        allowed_networks=_each_once(_networks(record.allowed_networks)),
        expire_time=_moment(record.expire_time),
    )


def check_groups(record: Key, organization: Organization) -> None:
    """Check that the groups that a key names are there.

    Raises:
        InvalidRequestError: One is not.
    """
    for pattern in record.allowed_models:
        group = pattern.removeprefix(GROUP_PREFIX)
        if group != pattern and group not in organization.model_groups:
            raise _wrong(
                "allowed_models",
                f"there is no model group {group!r} in the organization",
                group=group,
            )


def is_id(text: str) -> bool:
    """Whether a record may have this id."""
    return _ID.fullmatch(text) is not None


def check_text(field: str, text: str) -> str:
    """Check what is only looked for: no database takes every character.

    Raises:
        InvalidRequestError: It cannot stand in any record.
    """
    if len(text) > LONGEST_NAME or not _VALUE.fullmatch(text) or not _is_encodable(text):
        raise _wrong(field, "it is too long, or has control characters")
    return text


def _check_shared(record: Record) -> None:
    _check_form("name", record.name, _NAME, "is not a name: use 1 to 128 printable characters")
    _check_limits(record.limits)
    _check_tags(record.tags)


def _check_limits(limits: tuple[Limit, ...]) -> None:
    _check_count("limits", limits, MOST_LIMITS)
    counts = Counter((limit.name, limit.mode, limit.enforcement) for limit in limits)
    for (name, _, _), count in counts.items():
        if count > 1:
            raise _wrong("limits", f"there are {count} limits on {name}: keep one", limit=name)


def _check_tags(tags: Mapping[str, str]) -> None:
    _check_count("tags", tags, MOST_TAGS)
    for name, value in tags.items():
        _check_form("tags", name, _LABEL, "is not a name for a tag")
        _check_form("tags", value, _VALUE, "is not a value for a tag")


def _check_roles(roles: tuple[str, ...]) -> None:
    _check_count("roles", roles, MOST_ROLES)
    for role in roles:
        _check_form("roles", role, _ROLE, "is not a role")


def _check_models(field: str, patterns: tuple[str, ...]) -> None:
    _check_count(field, patterns, MOST_MODELS)
    for pattern in patterns:
        _check_form(field, pattern, _PATTERN, "is not the name of a model, or a pattern")


def _networks(networks: tuple[str, ...]) -> Iterable[str]:
    _check_count("allowed_networks", networks, MOST_NETWORKS)
    for network in networks:
        try:
            yield str(ip_network(network.strip()))
        except ValueError:
            raise _wrong(
                "allowed_networks",
                f"{network[:100]!r} is not a network such as 10.0.0.0/8",
                network=network[:100],
            ) from None


def _moment(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise _wrong("expire_time", "the time has no time zone")
    return moment.astimezone(UTC)


def _check_count(field: str, values: Iterable[object], most: int) -> None:
    count = sum(1 for _ in values)
    if count > most:
        raise _wrong(field, f"{count} are more than {most}", count=str(count), limit=str(most))


def _check_form(field: str, text: str, form: re.Pattern[str], sentence: str) -> None:
    if not form.fullmatch(text) or not _is_encodable(text):
        shown = text[:100].encode(errors="replace").decode()
        raise _wrong(field, f"{shown!r} {sentence}", value=shown)


def _is_encodable(text: str) -> bool:
    """Whether it is text at all: half a pair of surrogates is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _wrong(field: str, sentence: str, **values: str) -> InvalidRequestError:
    error = InvalidRequestError(f"{field}: {sentence}", field=field)
    error.values.update(values)
    return error
