"""A fake upstream that speaks OpenAI's wire format, and misbehaves when told to.

    async with FakeUpstream() as upstream:
        upstream.script("weather", Behaviour(fault=Refuse(429, retry_after="2")), times=1)
        ...  # talk to upstream.base_url
        assert upstream.requests[0].header("authorization") == "Bearer sk-upstream"

Without a script it answers as OpenAI would. A script is found by `Match`; what a test in another
process cannot hand over it writes into the prompt (`directive`) or posts to `/_/script`
(`RemoteUpstream`). Every request is kept, in the order of arrival.
"""

from upstream.behaviours import (
    Behaviour,
    Close,
    Cut,
    Endless,
    ErrorEvent,
    Framing,
    Hang,
    Lie,
    Match,
    Refuse,
    Script,
    SlowHead,
    ToolCall,
    Usage,
    directive,
)
from upstream.gate import Gate
from upstream.records import Request
from upstream.remote import RemoteUpstream
from upstream.server import FakeUpstream

__all__ = [
    "Behaviour",
    "Close",
    "Cut",
    "Endless",
    "ErrorEvent",
    "FakeUpstream",
    "Framing",
    "Gate",
    "Hang",
    "Lie",
    "Match",
    "Refuse",
    "RemoteUpstream",
    "Request",
    "Script",
    "SlowHead",
    "ToolCall",
    "Usage",
    "directive",
]
