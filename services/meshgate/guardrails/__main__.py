"""Starts the guardrails service: `python -m meshgate.guardrails`."""

from meshgate.guardrails.assembly import assemble
from meshgate.runtime.process import host

host({"guardrails": assemble})
