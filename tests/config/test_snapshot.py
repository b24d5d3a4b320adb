from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from meshgate.config.loading import load
from meshgate.config.secrets import SecretReference
from meshgate.config.snapshot import (
    CachePolicy,
    DemoProvider,
    HttpProvider,
    Model,
    Retries,
    Target,
    Timeouts,
)

FULL = """\
    providers:
      openai:
        kind: openai
        api_key: "${env:OPENAI_API_KEY}"
        organization: org-1
        project: proj-1
        headers: {X-Team: core, X-Token: "${file:/run/token}"}
        timeouts: {connect: 300ms}
        ca_file: /etc/ca.pem
        proxy: "http://proxy:3128"
      local: {kind: openai-compatible, base_url: "http://127.0.0.1:11434/v1/"}
      demo: {kind: demo, delay: 1s, word_delay: 20ms, fail: cut, fail_first: 2}
    models:
      small:
        targets:
          - {provider: local, model: qwen3, priority: 2}
          - {provider: openai, priority: 1, prices: {input: 0.15, output: 0.6}}
          - {provider: demo, priority: 2}
        strategy: priority
        retries: {attempts: 3, on: [timeout], backoff: {initial: 5s}}
        fallbacks: [plain]
        timeouts: {total: 10s}
      plain: {targets: [{provider: demo}]}
      priced: {targets: [{provider: demo}], prices: {input: 3, output: 15}, limits: {tpm: 900}}
    keys:
      - name: bench
        key: "${file:/run/secrets/bench}"
        models: [small, "gpt-*"]
        organization: acme
        team: core
        user: ada@example.org
        networks: [10.0.0.0/8, "::1"]
        expires: 2027-01-31T01:00:00+01:00
        tags: {env: test}
        limits: {rpm: 60, budget: {usd: 10, per: month, time_zone: Europe/Berlin}}
    limits: {default: {rpm: 6}, shared: {concurrency: 7}, tags: {"env=test": {rpm: 8}}}
    auth: {stale_for: 1m}
    """


@pytest.fixture
def snapshot(directory):
    return load(directory.write(FULL))


def test_providers_are_complete(snapshot):
    assert snapshot.providers["openai"] == HttpProvider(
        "openai",
        kind="openai",
        base_url="https://api.openai.com/v1",
        api_key=SecretReference("env", "OPENAI_API_KEY"),
        headers={
            "x-team": "core",
            "x-token": SecretReference("file", "/run/token"),
            "openai-organization": "org-1",
            "openai-project": "proj-1",
        },
        connect_seconds=0.3,
        ca_file=Path("/etc/ca.pem"),
        proxy="http://proxy:3128",
    )
    assert snapshot.providers["local"].base_url == "http://127.0.0.1:11434/v1"
    assert snapshot.providers["demo"] == DemoProvider(
        "demo", delay_seconds=1.0, word_delay_seconds=0.02, fail="cut", fail_first=2
    )


@pytest.mark.parametrize(
    ("before", "after", "options"),
    [
        ("project: proj-1", "project: proj-1\n        api: responses", {"api": "responses"}),
        ("kind: openai-compatible,", "kind: openai-compatible, responses: true,", {}),
    ],
)
def test_which_api_of_openais_a_provider_has_is_an_option(directory, before, after, options):
    providers = load(directory.write(FULL.replace(before, after))).providers

    assert dict(providers["openai"].options) == options
    assert dict(providers["local"].options) == ({} if options else {"responses": "true"})


def test_a_model_without_options_has_the_defaults(snapshot):
    assert snapshot.models["plain"] == Model("plain", targets=(Target("demo", "plain"),))


def test_targets_of_the_strategy_priority_stand_in_order(snapshot):
    targets = snapshot.models["small"].targets

    assert [target.provider for target in targets] == ["openai", "local", "demo"]
    assert [target.model for target in targets] == ["small", "qwen3", "small"]


def test_defaults_give_way_to_what_is_written(snapshot):
    small = snapshot.models["small"]

    assert small.timeouts == Timeouts(5.0, 10.0, 10.0, 10.0)
    assert small.retries == Retries(3, frozenset({"timeout"}), 5.0, 5.0)


def test_keys_are_complete(snapshot):
    key = snapshot.keys["config/bench"]

    assert key.key_id == "config/bench"
    assert key.secret == SecretReference("file", "/run/secrets/bench")
    assert key.allowed_models == ("small", "gpt-*")
    assert (key.organization_id, key.team_id, key.user_id) == ("acme", "core", "ada@example.org")
    assert key.allowed_networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert key.expire_time == datetime(2027, 1, 31, tzinfo=UTC)
    assert key.tags == {"env": "test"}
    assert snapshot.auth.stale_for_seconds == 60.0


def test_a_snapshot_cannot_be_changed(snapshot):
    with pytest.raises(TypeError):
        snapshot.models["x"] = snapshot.models["plain"]
    with pytest.raises(FrozenInstanceError):
        snapshot.models["plain"].fallbacks = ()


def test_the_revision_does_not_depend_on_formatting(directory, snapshot):
    text = FULL.replace("{total: 10s}", "\n          total: 10000ms  # a comment")
    middle = text.index("    models:")
    reordered = text[middle:].rstrip(" ") + text[:middle]

    assert load(directory.write(reordered)).revision == snapshot.revision


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("attempts: 3", "attempts: 4"),
        ("X-Team: core", "X-Team: edge"),
        ("10.0.0.0/8", "10.0.0.0/9"),
        ("env: test", "env: live"),
        ("stale_for: 1m", "stale_for: 2m"),
        ("file:/run/secrets/bench", "file:/run/secrets/other"),
        ("word_delay: 20ms", "word_delay: 21ms"),
        ("rpm: 60", "rpm: 61"),
        ("usd: 10", "usd: 10.000000001"),
        ("Europe/Berlin", "Europe/Paris"),
        ("input: 0.15", "input: 0.16"),
        ("output: 15", "output: 16"),
        ("tpm: 900", "tpm: 901"),
        ("{rpm: 6}", "{rpm: 7}"),
        ("concurrency: 7", "concurrency: 8"),
        ("env=test", "env=live"),
        ("{rpm: 8}", "{rpm: 8, enforce: soft}"),
    ],
)
def test_the_revision_depends_on_every_value(directory, snapshot, before, after):
    assert load(directory.write(FULL.replace(before, after))).revision != snapshot.revision


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("{mode: exact}", CachePolicy(600.0, "organization", 1 << 20)),
        ("{mode: exact, ttl: 1h, scope: key, maximum_bytes: 9}", CachePolicy(3600.0, "key", 9)),
        ("{mode: off, ttl: 1h}", None),
    ],
)
def test_a_model_keeps_answers_only_if_it_says_so(directory, written, policy):
    text = (
        "providers: {demo: {kind: demo}}\nmodels: {a: {targets: [{provider: demo}], cache: %s}}\n"
    )

    assert load(directory.write(text % written)).models["a"].cache == policy
