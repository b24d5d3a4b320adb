import pytest

from meshgate.provider.failures import FailureKind
from meshgate.provider.targets import TargetHealth, TargetName, Targets

A, B, C = (TargetName("openai", name) for name in "abc")


def health(targets, configured=()):
    return {status.name: status.health for status in targets.page(configured, None, 100)}


def test_a_configured_target_that_was_never_tried_is_unknown():
    assert health(Targets(), [A]) == {A: TargetHealth.UNKNOWN}


def test_the_last_attempt_decides():
    targets = Targets()

    targets.failed(*A, FailureKind.TIMEOUT)
    targets.answered(*A)
    targets.answered(*B)
    targets.failed(*B, FailureKind.TIMEOUT)

    assert health(targets) == {A: TargetHealth.HEALTHY, B: TargetHealth.FAILING}
    assert targets.page([], A, 1)[0].last_failure is FailureKind.TIMEOUT


@pytest.mark.parametrize(
    "kind",
    [FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_WINDOW, FailureKind.CONTENT_POLICY],
)
def test_a_refused_request_says_nothing_bad_of_the_target(kind):
    targets = Targets()

    targets.failed(*A, kind)

    assert health(targets) == {A: TargetHealth.HEALTHY}


def test_pages_go_on_after_the_last_name():
    targets = Targets()
    targets.answered(*C)

    first = targets.page([A, B], None, 2)
    second = targets.page([A, B], first[-1].name, 2)

    assert [status.name for status in first] == [A, B]
    assert [status.name for status in second] == [C]


def test_what_was_heard_of_least_recently_is_forgotten_when_there_is_too_much():
    targets = Targets(maximum=2)

    targets.answered(*A)
    targets.answered(*B)
    targets.answered(*A)
    targets.answered(*C)

    assert set(health(targets)) == {A, C}


def test_targets_of_a_changed_provider_are_forgotten():
    targets = Targets()
    targets.failed(*A, FailureKind.AUTHENTICATION)

    targets.forget(["openai"])

    assert health(targets, [A]) == {A: TargetHealth.UNKNOWN}
