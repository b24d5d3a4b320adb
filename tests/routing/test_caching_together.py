"""Equal requests that are here at the same time: who asks, who waits, and who pays."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from routing.fakes import until
from routing.metering_bench import TOKENS, MeterBench
from routing.metering_values import asked, at, model

from meshgate.config.snapshot import CachePolicy
from meshgate.dialects.neutral import Usage
from meshgate.routing.caching import Caching
from meshgate.routing.peers.provider import PlainAnswer
from meshgate.routing.question import Question
from meshgate.routing.reply import Reply
from meshgate.runtime.errors import DeadlineExceededError, UpstreamFailedError
from meshgate.v1 import cache_service_pb2 as pb
from meshgate.v1 import usage_record_pb2

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
ANSWER = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'
FILTERED = ANSWER.replace(b"stop", b"content_filter")
POLICY = CachePolicy()


class Answers:
    """Finds nothing, and notes what it is to keep."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def find(self, *_: object) -> pb.CacheEntry | None:
        return None

    async def find_all(
        self, _question: object, places: Sequence[object], _max_age: object
    ) -> list[pb.CacheEntry | None]:
        return [None for _ in places]

    def keep(self, _question: object, _place: object, entry: pb.CacheEntry, _ttl: float) -> None:
        self.kept.append(entry.body)


class Crowd:
    """Requests that come when the test says so, and an upstream that answers when it does."""

    def __init__(self) -> None:
        self.bench = MeterBench()
        self.answers = Answers()
        self.caching = Caching(self.answers)
        self.asked: list[asyncio.Future[bytes]] = []

    def come(self, count: int = 1, policy: CachePolicy = POLICY, body: bytes = BODY) -> Any:
        question = asked(body, TOKENS)
        return [asyncio.create_task(self._answered(question, policy)) for _ in range(count)]

    async def asking(self, count: int) -> None:
        """Until so many ask upstream, and all others wait for them."""
        await until(lambda: len(self.asked) == count)
        for _ in range(20):
            await asyncio.sleep(0)

    async def _answered(self, question: Question, policy: CachePolicy) -> Reply:
        meter = await self.bench.open_for(question)

        async def ask() -> Reply:
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.asked.append(answer)
            body = await answer
            usage = Usage(input_tokens=5, output_tokens=7)
            await self.bench.attempt(meter, PlainAnswer(body, (), usage, "up"))
            meter.answered(usage, "up", body)
            return Reply((("x-meshgate-provider", "one"),), body)

        try:
            return await self.caching.reply(meter, model("m", at("one"), cache=policy), ask)
        except BaseException:
            meter.left()
            raise


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def words(replies: list[Reply]) -> list[str]:
    return [dict(reply.headers)["x-meshgate-cache"] for reply in replies]


async def test_one_asks_for_all(crowd: Crowd):
    tasks = crowd.come(5)
    await crowd.asking(1)

    crowd.asked[0].set_result(ANSWER)
    replies = await asyncio.gather(*tasks)

    assert words(replies) == ["miss", "hit", "hit", "hit", "hit"]
    assert {reply.body for reply in replies} == {ANSWER}
    assert crowd.answers.kept == [ANSWER]


async def test_those_who_waited_pay_for_one_request_and_no_tokens(crowd: Crowd):
    tasks = crowd.come(3)
    await crowd.asking(1)
    crowd.asked[0].set_result(ANSWER)
    await asyncio.gather(*tasks)

    await crowd.bench.settled()

    assert crowd.bench.used("tokens/minute") == (12, 0)
    assert crowd.bench.used("requests/minute") == (3, 0)
    records = crowd.bench.service.records
    assert sorted(record.cache for record in records) == [
        usage_record_pb2.CACHE_OUTCOME_HIT,
        usage_record_pb2.CACHE_OUTCOME_HIT,
        usage_record_pb2.CACHE_OUTCOME_MISS,
    ]
    assert [len(record.charges) for record in records].count(1) == 1


async def test_other_questions_wait_for_nobody(crowd: Crowd):
    crowd.come(body=BODY)
    [other] = crowd.come(body=BODY.replace(b"hi", b"ho"))

    await crowd.asking(2)

    crowd.asked[1].set_result(ANSWER)
    assert words([await other]) == ["miss"]
    crowd.asked[0].set_result(ANSWER)


async def test_when_the_one_who_asks_leaves_another_asks_for_the_rest(crowd: Crowd):
    leaving, *others = crowd.come(4)
    await crowd.asking(1)

    leaving.cancel()
    await crowd.asking(2)
    crowd.asked[1].set_result(ANSWER)

    assert words(await asyncio.gather(*others)) == ["miss", "hit", "hit"]


@pytest.mark.parametrize("error", [UpstreamFailedError("no"), ValueError("broken")])
async def test_when_the_asking_fails_each_asks_alone(crowd: Crowd, error: Exception):
    failing, *others = crowd.come(3)
    await crowd.asking(1)

    crowd.asked[0].set_exception(error)
    await crowd.asking(3)
    for answer in crowd.asked[1:]:
        answer.set_result(ANSWER)

    with pytest.raises(type(error)):
        await failing
    assert words(await asyncio.gather(*others)) == ["miss", "miss"]


async def test_an_answer_that_is_for_one_only_is_given_to_nobody_else(crowd: Crowd):
    first, second = crowd.come(2)
    await crowd.asking(1)

    crowd.asked[0].set_result(FILTERED)
    await crowd.asking(2)
    crowd.asked[1].set_result(ANSWER)

    assert (await first).body == FILTERED
    assert (await second).body == ANSWER


async def test_an_answer_that_is_too_large_to_be_kept_is_shared_all_the_same(crowd: Crowd):
    tasks = crowd.come(2, CachePolicy(maximum_bytes=1))
    await crowd.asking(1)

    crowd.asked[0].set_result(ANSWER)

    assert words(await asyncio.gather(*tasks)) == ["miss", "hit"]
    assert crowd.answers.kept == []


async def test_one_who_waits_and_leaves_pays_nothing(crowd: Crowd):
    asking, leaving = crowd.come(2)
    await crowd.asking(1)

    leaving.cancel()
    await asyncio.wait([leaving])
    crowd.asked[0].set_exception(DeadlineExceededError("too late"))
    await asyncio.wait([asking])
    await crowd.bench.settled()

    assert crowd.bench.used("tokens/minute")[1] == 0
    assert len(crowd.caching._flights) == 0
