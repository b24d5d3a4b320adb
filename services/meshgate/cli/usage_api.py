"""UsageService of a gateway, as REST."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from meshgate.cli.data_directory import DataDirectory
from meshgate.cli.gateway import Gateway

Message: TypeAlias = dict[str, Any]
"""A message as the API has it in JSON: whole numbers of 64 bits are texts."""

_USAGE = "/admin/v1/usage"


class UsageApi:
    """Asks a gateway with the admin key. Raises as `AdminApi`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @classmethod
    def of(cls, data: DataDirectory) -> "UsageApi":
        """The one that the environment and the data directory lead to."""
        return cls(Gateway.for_admin(data))

    def sums(self, question: Mapping[str, Any]) -> Iterator[Message]:
        """The pages of a report; the total is on the first."""
        return self._pages(_USAGE, question, "rows")

    def records(self, question: Mapping[str, Any]) -> Iterator[Message]:
        """The pages of records."""
        return self._pages(f"{_USAGE}/records", question, "records")

    def spent_nanos(self, kind: str, record_id: str, since: str) -> int:
        """What a key, user, team or organization has spent since then."""
        question = {
            f"filter.{kind}_id": record_id,
            "filter.start_time": since,
            "page_size": 1,
        }
        return int(next(self.sums(question))["total"]["cost_nanos"])

    def verified(self, kept_links: Sequence[str]) -> Iterator[Message]:
        """What is found in each part of the ledger; with the first, of links that were kept."""
        return self._pages(f"{_USAGE}:verify", {"kept_links": kept_links}, "faults", "heads")

    def reconciled(self, organization_id: str) -> Iterator[Message]:
        """What is found in each part of the counters; of all organizations if it is empty."""
        question = {"organization_id": organization_id} if organization_id else {}
        return self._pages(f"{_USAGE}:reconcile", question, "differences")

    def rebuild_counters(self, organization_id: str) -> Message:
        """What was done; likewise."""
        body = {"organization_id": organization_id}
        return self._asked("POST", f"{_USAGE}:rebuild_counters", "raised_count", body=body)

    def erase(self, subject: Mapping[str, str]) -> Message:
        """What was done; the subject is a `user_id` or an `organization_id`."""
        return self._asked("POST", f"{_USAGE}:erase", "erased_count", body=subject)

    def _pages(self, path: str, question: Mapping[str, Any], *members: str) -> Iterator[Message]:
        token = ""
        while True:
            page = self._asked("GET", path, *members, params={**question, "page_token": token})
            yield page
            token = page.get("next_page_token", "")
            if not token:
                return

    def _asked(
        self,
        method: str,
        path: str,
        *members: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Message:
        with self._gateway.reached(), self._gateway.client() as client:
            answer = client.request(method, path, params=params, json=body)
            self._gateway.check(answer)
        return self._gateway.object_with(answer.content, *members)
