"""Starts the auth service: `python -m meshgate.auth`."""

from meshgate.auth.assembly import assemble
from meshgate.runtime.process import host

host({"auth": assemble})
