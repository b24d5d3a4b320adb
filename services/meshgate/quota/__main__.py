"""Starts the quota service: `python -m meshgate.quota`."""

from meshgate.quota.assembly import assemble
from meshgate.runtime.process import host

host({"quota": assemble})
