"""Starts the cache service: `python -m meshgate.cache`."""

from meshgate.cache.assembly import assemble
from meshgate.runtime.process import host

host({"cache": assemble})
