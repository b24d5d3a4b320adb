"""The rules that callers mean, who may have learnt of a new configuration a little earlier."""

import asyncio
from collections.abc import Callable, Sequence

from meshgate.config.snapshot import Snapshot
from meshgate.guardrails.policies import Phase, Policies
from meshgate.guardrails.ruleset import Ruleset
from meshgate.runtime.errors import RevisionBehindError


class Revisions:
    """Finds rules, and catches up with a caller who is ahead.

    Each service looks for changes of the configuration by itself. Without this, every change would
    refuse requests, or let them pass unseen, until this one has looked too.

    Args:
        policies: Those that are known.
        look: Looks whether the configuration has changed, and returns it; may take milliseconds.
    """

    def __init__(self, policies: Policies, look: Callable[[], Snapshot]) -> None:
        self._policies = policies
        self._look = look
        self._following = asyncio.Lock()

    async def ruleset(self, revision: str, names: Sequence[str], phase: Phase) -> Ruleset:
        """The rules of these policies, in order.

        Raises:
            RevisionBehindError: The revision, or a policy in it, is not known here.
        """
        try:
            return self._policies.ruleset(revision, names, phase)
        except RevisionBehindError:
            await self._catch_up(revision)
        return self._policies.ruleset(revision, names, phase)

    async def follow(self, snapshot: Snapshot) -> None:
        """Know another revision. In a thread, for long lists of phrases take their time."""
        async with self._following:
            await asyncio.to_thread(self._policies.follow, snapshot)

    async def _catch_up(self, revision: str) -> None:
        async with self._following:
            if not self._policies.knows(revision):  # else somebody has looked meanwhile
                await asyncio.to_thread(lambda: self._policies.follow(self._look()))
