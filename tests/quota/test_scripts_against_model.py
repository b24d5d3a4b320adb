"""Whatever is asked, in whatever order: the scripts answer what the model answers."""

import asyncio

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from quota.worlds import World, key, model_world, per, places, soon
from redis_servers import RedisServer

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import Enforcement, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.quota.grants import (
    Extension,
    GrantSettlement,
    Hold,
    Lease,
    Release,
    Settlement,
)
from meshgate.quota.redis_address import RedisAddress
from meshgate.quota.redis_nodes import RedisNodes
from meshgate.quota.redis_store import Keeping, RedisGrantStore

EXAMPLES = 25
SOFT = Enforcement.SOFT
IDS = [f"g{number}" for number in range(8)]
PARTITIONS = ["acme", "wide"]
SUBJECTS = (
    key(
        "k",
        per(WindowUnit.SECOND, 8),
        per(WindowUnit.MINUTE, 12),
        per(WindowUnit.MINUTE, 6, enforcement=SOFT),
        per(WindowUnit.MINUTE, 90, LimitKind.TOKENS),
        places(3),
    ),
    Subject(
        SubjectKind.TEAM,
        "t",
        (
            per(WindowUnit.HOUR, 200, LimitKind.OUTPUT_TOKENS),
            per(WindowUnit.DAY, 300, LimitKind.TOKENS, time_zone="Europe/Berlin"),
            per(WindowUnit.DAY, 150, LimitKind.COST, enforcement=SOFT),
            places(2, SOFT),
        ),
    ),
    Subject(
        SubjectKind.ORGANIZATION,
        "o",
        (
            per(WindowUnit.MONTH, 2_000, LimitKind.COST, time_zone="America/New_York"),
            per(WindowUnit.TOTAL, 400, LimitKind.INPUT_TOKENS),
            per(WindowUnit.TOTAL, 100, enforcement=SOFT),
        ),
    ),
    Subject(SubjectKind.MODEL, "m", (per(WindowUnit.SECOND, 6_400),)),
)

amounts = st.builds(
    Amounts,
    requests=st.integers(0, 3),
    input_tokens=st.integers(0, 40),
    output_tokens=st.integers(0, 40),
    cost_nanos=st.integers(0, 60),
    concurrency=st.integers(0, 1),
)
units = st.builds(
    Amounts,
    requests=st.sampled_from([0, 0, 1]),
    input_tokens=st.sampled_from([0, 0, 1]),
    output_tokens=st.sampled_from([0, 0, 1]),
)
subjects = st.lists(st.sampled_from(SUBJECTS), unique=True, max_size=4).map(tuple)
ids = st.sampled_from(IDS)
partitions = st.sampled_from(PARTITIONS)
ttls = st.sampled_from([0.05, 1.0, 30.0, 3_600.0])
holds = st.builds(Hold, ids, partitions, subjects, amounts, ttls)
leases = st.builds(Lease, ids, partitions, subjects, amounts, units, st.integers(0, 20), ttls)
extensions = st.builds(Extension, ids, partitions, st.just(NOTHING) | amounts, ttls)
releases = st.builds(Release, ids, partitions, st.just(NOTHING) | amounts)
settlements = st.builds(Settlement, st.integers(0, 3), amounts, amounts)
batches = st.integers(1, 4)


class Machine(RuleBasedStateMachine):
    """The model and the scripts, side by side."""

    server: RedisServer

    @initialize()
    def begin(self) -> None:
        with self.server.control() as client:
            client.flushall()
        self.model: World = model_world()
        self.recorder = type(self.model.recorder)()
        self.nodes = RedisNodes(RedisAddress.parse(self.server.url))
        self.store = RedisGrantStore(self.nodes, Keeping(), self.recorder, self.model.clock)
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.grants: dict[tuple[str, str], tuple] = {}

    def both(self, verb: str, *arguments):
        async def ask():
            ours = await getattr(self.store, verb)(*arguments, soon())
            return ours, await getattr(self.model.store, verb)(*arguments, soon())

        ours, expected = self.runner.run(ask())
        assert ours == expected
        return expected

    def note(self, items, outcomes) -> None:
        for item, outcome in zip(items, outcomes, strict=True):
            if hasattr(outcome, "grant_time"):
                known = item.subjects, outcome.grant_time
                self.grants.setdefault((item.partition, item.grant_id), known)

    @rule(items=st.lists(holds, min_size=1, max_size=4))
    def hold(self, items) -> None:
        self.note(items, self.both("hold", items))

    @rule(items=st.lists(leases, min_size=1, max_size=3))
    def lease(self, items) -> None:
        self.note(items, self.both("lease", items))

    @rule(items=st.lists(extensions, min_size=1, max_size=3))
    def extend(self, items) -> None:
        self.both("extend", items)

    @rule(items=st.lists(releases, min_size=1, max_size=3))
    def release(self, items) -> None:
        self.both("release", items)

    @rule(
        grant_id=ids,
        partition=partitions,
        described=subjects,
        several=st.lists(settlements, min_size=1, max_size=3),
    )
    def settle(self, grant_id, partition, described, several) -> None:
        known, granted_at = self.grants.get((partition, grant_id), (described, None))
        item = GrantSettlement(grant_id, partition, known, granted_at, tuple(several))
        self.both("settle", [item])

    @rule()
    def sweep(self) -> None:
        self.both("sweep")

    @rule(milliseconds=st.sampled_from([1, 30, 100, 450, 1_000, 2_000, 6_000, 31_000]))
    def wait(self, milliseconds) -> None:
        self.model.clock.time += milliseconds

    @rule(hours=st.sampled_from([0.1, 0.9, 1.1, 7.0, 24.0, 24.0 * 31]))
    def wait_long(self, hours) -> None:
        self.model.clock.time += round(hours * 3_600_000)

    @precondition(lambda self: hasattr(self, "recorder"))
    @invariant()
    def nothing_else_is_told(self) -> None:
        assert sorted(map(repr, self.recorder.alerts)) == sorted(
            map(repr, self.model.recorder.alerts)
        )
        assert self.recorder.abandonments == self.model.recorder.abandonments

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.nodes.close())
            self.runner.close()


@pytest.mark.timeout(300)
def test_the_scripts_do_what_the_model_does(valkey):
    class OnValkey(Machine):
        server = valkey

    run_state_machine_as_test(
        OnValkey,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
