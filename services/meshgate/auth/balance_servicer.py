"""BalanceService: messages to the balances that a caller reaches, and back."""

from typing import Any

from meshgate.auth.administered_balances import AdministeredBalances
from meshgate.auth.balances import Balance, Owner, TopUp, TopUpOrder
from meshgate.auth.directory import Query
from meshgate.auth.record_fields import timestamp
from meshgate.limits.limit import Enforcement
from meshgate.runtime.authorization import caller
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import balance_service_pb2 as pb
from meshgate.v1 import limit_pb2
from meshgate.v1.balance_service_pb2_grpc import BalanceServiceServicer

_ENFORCEMENTS = {
    limit_pb2.ENFORCEMENT_UNSPECIFIED: None,
    limit_pb2.ENFORCEMENT_NORMAL: Enforcement.NORMAL,
    limit_pb2.ENFORCEMENT_STRICT: Enforcement.STRICT,
    limit_pb2.ENFORCEMENT_SOFT: Enforcement.SOFT,
}
_NUMBERS = {enforcement: number for number, enforcement in _ENFORCEMENTS.items()}


class BalanceServicer(BalanceServiceServicer):
    """Administers balances."""

    def __init__(self, balances: AdministeredBalances) -> None:
        self._balances = balances

    async def TopUpBalance(
        self, request: pb.TopUpBalanceRequest, context: Any
    ) -> pb.TopUpBalanceResponse:
        balance, top_up = await self._balances.top_up(caller(), _order(request))
        return pb.TopUpBalanceResponse(
            balance=_balance_message(balance), top_up=_top_up_message(top_up)
        )

    async def GetBalance(
        self, request: pb.GetBalanceRequest, context: Any
    ) -> pb.GetBalanceResponse:
        balance = await self._balances.get(caller(), Owner.named(request.subject))
        return pb.GetBalanceResponse(balance=_balance_message(balance))

    async def ListBalances(
        self, request: pb.ListBalancesRequest, context: Any
    ) -> pb.ListBalancesResponse:
        query = Query(organization_id=request.organization_id, team_id=request.team_id)
        page = await self._balances.list(caller(), query, request.page_size, request.page_token)
        return pb.ListBalancesResponse(
            balances=[_balance_message(balance) for balance in page.balances],
            next_page_token=page.next_page_token,
        )

    async def ListTopUps(
        self, request: pb.ListTopUpsRequest, context: Any
    ) -> pb.ListTopUpsResponse:
        owner = Owner.named(request.subject)
        page = await self._balances.top_ups(caller(), owner, request.page_size, request.page_token)
        return pb.ListTopUpsResponse(
            top_ups=[_top_up_message(top_up) for top_up in page.top_ups],
            next_page_token=page.next_page_token,
        )


def _order(request: pb.TopUpBalanceRequest) -> TopUpOrder:
    """The top-up that a request asks for, which does not say where its owner belongs.

    Raises:
        InvalidRequestError: The subject or the enforcement is not known.
    """
    if request.enforcement not in _ENFORCEMENTS:
        raise InvalidRequestError(
            "enforcement: use ENFORCEMENT_NORMAL or ENFORCEMENT_STRICT", field="enforcement"
        )
    return TopUpOrder(
        top_up_id=request.top_up_id,
        owner=Owner.named(request.subject),
        organization_id="",
        team_id="",
        amount_nanos=request.amount_nanos,
        note=request.note,
        enforcement=_ENFORCEMENTS[request.enforcement],
    )


def _balance_message(balance: Balance) -> pb.Balance:
    return pb.Balance(
        subject=balance.owner.name,
        organization_id=balance.organization_id,
        team_id=balance.team_id,
        amount_nanos=balance.amount_nanos,
        enforcement=_NUMBERS[balance.enforcement],
        create_time=timestamp(balance.create_time),
        update_time=timestamp(balance.update_time),
    )


def _top_up_message(top_up: TopUp) -> pb.TopUp:
    return pb.TopUp(
        id=top_up.top_up_id,
        subject=top_up.owner.name,
        amount_nanos=top_up.amount_nanos,
        balance_nanos=top_up.balance_nanos,
        note=top_up.note,
        creator_id=top_up.creator_id,
        create_time=timestamp(top_up.create_time),
    )
