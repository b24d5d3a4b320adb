import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.loading import check, load
from meshgate.config.snapshot import LimitsOptions
from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowMode, WindowUnit


def shared(directory, fields: str):
    return load(directory.write(f"limits: {{shared: {{{fields}}}}}\n")).limits.shared


def told(directory, text: str) -> list[str]:
    prefix = f"{directory.path}/"
    return [str(problem).replace(prefix, "") for problem in check(directory.write(text))]


def test_a_file_without_limits_has_none(directory):
    snapshot = load(directory.write("providers: {demo: {kind: demo}}\n"))

    assert snapshot.limits == LimitsOptions()


def test_limits_stand_where_they_are_written(directory):
    snapshot = load(
        directory.write(
            """\
            providers: {demo: {kind: demo}}
            models:
              a:
                targets: [{provider: demo, limits: {rpm: 1}}]
                limits: {rpm: 2}
            keys: [{name: k, key: "${env:K}", limits: {rpm: 3}}]
            limits: {default: {rpm: 4}, shared: {rpm: 5}, tags: {"env=prod": {rpm: 6}, "a=": {}}}
            """
        )
    )

    def amounts(limits):
        return [limit.amount for limit in limits]

    assert amounts(snapshot.models["a"].targets[0].limits) == [1]
    assert amounts(snapshot.models["a"].limits) == [2]
    assert amounts(snapshot.keys["config/k"].limits) == [3]
    assert amounts(snapshot.limits.default) == [4]
    assert amounts(snapshot.limits.shared) == [5]
    assert amounts(snapshot.limits.tags["env=prod"]) == [6]
    assert snapshot.limits.tags["a="] == ()


def test_short_forms_share_their_enforcement(directory):
    limits = shared(directory, "rpm: 60, tpm: 1000, concurrency: 0, enforce: strict")

    assert limits == (
        Limit.of(LimitKind.REQUESTS, 60, WindowUnit.MINUTE, enforcement=Enforcement.STRICT),
        Limit.of(LimitKind.TOKENS, 1000, WindowUnit.MINUTE, enforcement=Enforcement.STRICT),
        Limit.of(LimitKind.CONCURRENCY, 0, enforcement=Enforcement.STRICT),
    )


def test_the_enforcement_of_short_forms_is_not_that_of_the_others(directory):
    limits = shared(directory, "rpm: 60, enforce: soft, budget: {usd: 1, per: day}")

    assert [limit.enforcement for limit in limits] == [Enforcement.SOFT, Enforcement.NORMAL]


@pytest.mark.parametrize(
    ("usd", "nanos"),
    [
        ("12", 12_000_000_000),
        ("0.1", 100_000_000),
        ("1e-9", 1),
        ("1e3", 1_000_000_000_000),
        ('"8999999.123456789"', 8_999_999_123_456_789),
        ("0", 0),
    ],
)
def test_a_budget_is_exact(directory, usd, nanos):
    limits = shared(directory, f"budget: {{usd: {usd}, per: month}}")

    assert limits == (
        Limit.of(LimitKind.COST, nanos, WindowUnit.MONTH, WindowMode.CALENDAR, "UTC"),
    )


def test_several_budgets_hold_at_once(directory):
    limits = shared(
        directory,
        "budget: [{usd: 5, per: day, time_zone: Europe/Berlin}, {usd: 9, per: total, enforce: strict}]",
    )

    assert limits == (
        Limit.of(LimitKind.COST, 5 * 10**9, WindowUnit.DAY, time_zone="Europe/Berlin"),
        Limit.of(LimitKind.COST, 9 * 10**9, WindowUnit.TOTAL, enforcement=Enforcement.STRICT),
    )


def test_windows_say_everything_else(directory):
    limits = shared(
        directory,
        "windows: [{count: output_tokens, limit: 7, per: hour, window: calendar, "
        "time_zone: Asia/Kolkata, enforce: soft}, {count: usd, limit: '0.5', per: second}, "
        "{count: requests, limit: 3, per: month, window: rolling}]",
    )

    assert limits == (
        Limit(
            LimitKind.OUTPUT_TOKENS,
            7,
            WindowUnit.HOUR,
            WindowMode.CALENDAR,
            "Asia/Kolkata",
            Enforcement.SOFT,
        ),
        Limit(LimitKind.COST, 500_000_000, WindowUnit.SECOND, WindowMode.ROLLING),
        Limit(LimitKind.REQUESTS, 3, WindowUnit.MONTH, WindowMode.ROLLING),
    )


def test_the_same_kind_may_have_a_rolling_and_a_calendar_window(directory):
    limits = shared(
        directory, "rpm: 60, windows: [{count: requests, limit: 9, per: minute, window: calendar}]"
    )

    assert [limit.mode for limit in limits] == [WindowMode.ROLLING, WindowMode.CALENDAR]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("rpm: -1", "rpm: -1 is less than nothing: use 0 to allow nothing"),
        ("rpm: 1.5", "rpm: must be a whole number"),
        ("rpm: '60'", "rpm: must be a whole number"),
        ("tpm: 9007199254740992", "tpm: more than 9007199254740991 cannot be counted exactly"),
        ("concurrency: 99999999999999999999", "concurrency: more than 9007199254740991 cannot"),
        ("rpmm: 5", "rpmm: unknown field rpmm; did you mean rpm?"),
        ("enforce: soft", "enforce: says nothing without `rpm`, `tpm` or `concurrency`"),
        ("rpm: 1, enforce: hard", "enforce: unknown word hard: use one of strict, normal, soft"),
        ("budget: 5", "budget: must be {usd: 100, per: month}, or a list of such"),
        ("budget: [5]", "budget[0]: must hold fields"),
        ("budget: {usd: 5}", "budget.per: is missing. How long the window is."),
        ("budget: [{usd: 5}]", "budget[0].per: is missing. How long the window is."),
        ("budget: {usd: 5, per: day, x: 1}", "budget.x: unknown field x; known here: enforce, per"),
        ("budget: {usd: 5, per: dya}", "budget.per: unknown word dya: use one of second"),
        ("budget: {usd: -5, per: day}", "budget.usd: must be an amount in USD from 0 on"),
        ("budget: {usd: true, per: day}", "budget.usd: must be an amount in USD, for instance"),
        ("budget: {usd: 1e999, per: day}", "budget.usd: must be an amount in USD, for instance"),
        ("budget: {usd: 5 USD, per: day}", "budget.usd: must be an amount in USD, for instance"),
        ("budget: {usd: 9000000.01, per: day}", "budget.usd: more than 9,000,000 USD cannot"),
        ("budget: {usd: 0.0000000001, per: day}", "budget.usd: has more than 9 decimals"),
        (
            "budget: {usd: 8999999.123456789, per: day}",
            "budget.usd: has more digits than are read exactly: quote it, or use fewer",
        ),
        ("budget: {usd: 5, per: hour, time_zone: UTC}", "budget.time_zone: a rolling window is"),
        ("budget: {usd: 5, per: total, time_zone: UTC}", "budget.time_zone: a total is the same"),
        ("budget: {usd: 5, per: day, time_zone: Mars}", "budget.time_zone: 'Mars' is no time zone"),
        ("budget: {usd: 5, per: day, time_zone: ''}", "budget.time_zone: must not be empty"),
        ("budget: {usd: 5, per: day, time_zone: ../x}", "budget.time_zone: '../x' is no time zone"),
        ("windows: {}", "windows: must be a list"),
        ("windows: [{}]", "windows[0].count: is missing. What is counted."),
        (
            "windows: [{count: concurrency, limit: 1, per: day}]",
            "windows[0].count: unknown word concurrency: use one of requests",
        ),
        ("windows: [{count: tokens, limit: 1.5, per: day}]", "windows[0].limit: must be a whole"),
        ("windows: [{count: tokens, limit: '1', per: day}]", "windows[0].limit: must be a whole"),
        ("windows: [{count: tokens, limit: -1, per: day}]", "windows[0].limit: -1 is less than"),
        ("windows: [{count: usd, limit: 9000001, per: day}]", "windows[0].limit: more than 9,000"),
        (
            "windows: [{count: usd, limit: 1, per: total, window: rolling}]",
            "windows[0].window: a total has no rolling window: remove that",
        ),
        (
            "windows: [{count: usd, limit: 1, per: day, window: rolling, time_zone: UTC}]",
            "windows[0].time_zone: a rolling window is the same in every time zone: remove it",
        ),
    ],
)
def test_a_limit_that_cannot_be_is_told_at_its_field(directory, fields, expected):
    problems = told(directory, f"limits:\n  shared:\n    {{{fields}}}\n")

    assert any(
        problem.startswith(f"meshgate.yaml:3: limits.shared.{expected}") for problem in problems
    ), problems


@pytest.mark.parametrize("tag", ["env", "=prod", "a b=c", "a*=c"])
def test_limits_of_what_is_no_tag_are_told(directory, tag):
    problems = told(directory, f"limits: {{tags: {{'{tag}': {{rpm: 1}}}}}}\n")

    assert problems == [
        f"meshgate.yaml:1: limits.tags.{tag}: must be a tag as name=value, for instance env=prod"
    ]


def test_each_limit_that_counts_what_another_counts_is_told_with_both_places(directory):
    problems = told(
        directory,
        """\
        models:
          a:
            targets:
            - provider: demo
              limits: {budget: [{usd: 1, per: day}, {usd: 2, per: day, time_zone: Asia/Tokyo}]}
        providers: {demo: {kind: demo}}
        limits:
          tags:
            env=prod:
              rpm: 60
              windows:
              - {count: requests, limit: 9, per: hour}
              - {count: requests, limit: 5, per: minute, window: rolling, enforce: soft}
        """,
    )

    assert problems == [
        (
            "meshgate.yaml:5: models.a.targets[0].limits.budget[1]: limits cost/day (calendar) a "
            "second time: `budget[0]` in meshgate.yaml:5 does too; remove one of them"
        ),
        (
            "meshgate.yaml:13: limits.tags.env=prod.windows[1]: limits requests/minute (rolling) a "
            "second time: `rpm` in meshgate.yaml:10 does too; remove one of them"
        ),
    ]


def test_the_limits_of_a_target_hold_wherever_it_stands(directory):
    snapshot = load(
        directory.write(
            """\
            providers: {demo: {kind: demo}, other: {kind: demo}}
            models:
              a: {targets: [{provider: demo}, {provider: other, model: a}]}
              b: {targets: [{provider: demo, model: a, limits: {rpm: 9}}, {provider: demo}]}
            """
        )
    )

    limits = {
        name: [len(target.limits) for target in model.targets]
        for name, model in snapshot.models.items()
    }
    assert limits == {"a": [1, 0], "b": [1, 0]}


def test_a_target_of_which_two_things_are_said_is_told_with_both_places(directory):
    problems = told(
        directory,
        """\
        providers: {demo: {kind: demo}}
        models:
          a: {targets: [{provider: demo, limits: {rpm: 9, tpm: 5}}]}
          b: {targets: [{provider: demo, model: a, limits: {tpm: 5, rpm: 9}}]}
          c: {targets: [{provider: demo, model: a, limits: {rpm: 8}}]}
        """,
    )

    assert problems == [
        (
            "meshgate.yaml:5: models.c.targets[0].limits: differs from what meshgate.yaml:3 says of "
            "the same target, demo/a: state its limits in one place"
        )
    ]


def test_what_is_wrong_with_one_limit_hides_nothing_of_the_others(directory):
    problems = told(
        directory,
        """\
        limits:
          shared:
            rpm: 1
            tpm: -1
            budget: {usd: -1, per: day, time_zone: Mars}
            windows:
            - {count: requests, limit: 1, per: minute}
            - {count: tokens, limit: -1, per: total, window: rolling}
        """,
    )

    assert [problem.split(": ")[1] for problem in problems] == [
        "limits.shared.tpm",
        "limits.shared.budget.time_zone",
        "limits.shared.budget.usd",
        "limits.shared.windows[0]",
        "limits.shared.windows[1].limit",
        "limits.shared.windows[1].window",
    ]


def test_more_limits_than_are_kept_are_refused(directory):
    units = [
        f"{{count: {count}, limit: 1, per: {per}}}"
        for count in ("requests", "tokens", "usd")
        for per in ("second", "hour", "day", "week", "month", "total")
    ]

    problems = told(directory, f"limits: {{default: {{windows: [{', '.join(units)}]}}}}\n")

    assert problems == ["meshgate.yaml:1: limits.default: states 18 limits: 16 are the most"]


@given(
    st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens"]),
    st.integers(0, 2**53 - 1),
    st.sampled_from([unit.value for unit in WindowUnit]),
)
def test_any_possible_window_is_taken_as_it_is_written(tmp_path_factory, count, limit, per):
    file = tmp_path_factory.mktemp("any") / "f.yaml"
    entry = f"{{count: {count}, limit: {limit}, per: {per}}}"
    file.write_text(f"limits: {{shared: {{windows: [{entry}]}}}}")

    assert load(file).limits.shared == (Limit.of(LimitKind(count), limit, WindowUnit(per)),)
