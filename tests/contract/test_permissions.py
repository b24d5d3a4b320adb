"""Every RPC of the admin API declares the permission that it needs."""

import importlib
import pkgutil

from google.api import annotations_pb2

import meshgate.v1
from meshgate.runtime.authorization import declared_permission
from meshgate.runtime.permissions import PERMISSIONS, ROLES

ADMIN_PATH = "/admin/"


def methods():
    for module in pkgutil.iter_modules(meshgate.v1.__path__):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(f"meshgate.v1.{module.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                yield from service.methods


def paths(method):
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return [
        getattr(binding, binding.WhichOneof("pattern"))
        for binding in [rule, *rule.additional_bindings]
        if binding.WhichOneof("pattern")
    ]


def is_admin(method):
    return any(path.startswith(ADMIN_PATH) for path in paths(method))


def test_every_rpc_of_the_admin_api_declares_its_permission():
    admin = [method for method in methods() if is_admin(method)]

    assert len(admin) >= 22
    assert [method.full_name for method in admin if not declared_permission(method)] == []


def test_no_other_rpc_declares_one():
    others = [method for method in methods() if not is_admin(method)]

    assert [method.full_name for method in others if declared_permission(method)] == []


def test_every_permission_that_is_declared_is_one_that_a_role_has():
    declared = {declared_permission(method) for method in methods()} - {""}

    assert declared <= PERMISSIONS


def test_reading_changes_nothing_and_needs_the_permission_to_read():
    for method in filter(is_admin, methods()):
        _, _, right = declared_permission(method).partition(".")
        assert right == right_for(method), method.name


def right_for(method):
    """What who calls it must be allowed to."""
    if method.name.startswith(("Get", "List", "Query")):
        return "read"
    return "audit" if method.name.startswith(("Verify", "Reconcile")) else "write"


def test_who_may_write_may_read():
    for role in ROLES.values():
        for permission in role.permissions:
            kind, _, _ = permission.partition(".")
            assert f"{kind}.read" in role.permissions
