"""Starts the provider service: `python -m meshgate.provider`."""

from meshgate.provider.assembly import assemble
from meshgate.runtime.process import host

host({"provider": assemble})
