import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.loading import check, load
from meshgate.config.problems import ConfigurationError

GOOD = """
    providers:
      demo: {kind: demo}
      openai: {kind: openai, api_key: "${env:OPENAI_API_KEY}"}
    models:
      small:
        targets: [{provider: openai, model: gpt-4o-mini}, {provider: demo}]
    keys:
      - {name: bench, key: "${env:BENCH_KEY}"}
    """


def told(directory, text, secrets=None):
    file = directory.write(text)
    prefix = f"{directory.path}/"
    return [str(problem).replace(prefix, "") for problem in check(file, secrets)]


def test_a_good_file_has_no_problems(directory):
    assert told(directory, GOOD) == []


def test_everything_wrong_is_told_at_once_in_the_order_of_lines(directory):
    problems = told(
        directory,
        """\
        providers:
          a: {kind: openai-compatible, base_ur: "http://x/v1"}
          b: {kind: demo, fail: cutt}
        models:
          m:
            targets: [{provider: c, weight: 0}]
            strategy: fastest
            fallbacks: [m, n]
            retries: {attempts: 11, on: [on_fire]}
            timeouts: {connect: 2, total: soon}
        kyes: []
        """,
    )

    assert [problem.split(": ")[0:2] for problem in problems] == [
        ["meshgate.yaml:2", "providers.a.base_ur"],
        ["meshgate.yaml:2", "providers.a.base_url"],
        ["meshgate.yaml:3", "providers.b.fail"],
        ["meshgate.yaml:6", "models.m.targets[0].provider"],
        ["meshgate.yaml:6", "models.m.targets[0].weight"],
        ["meshgate.yaml:7", "models.m.strategy"],
        ["meshgate.yaml:8", "models.m.fallbacks[0]"],
        ["meshgate.yaml:8", "models.m.fallbacks[1]"],
        ["meshgate.yaml:9", "models.m.retries.attempts"],
        ["meshgate.yaml:9", "models.m.retries.on[0]"],
        ["meshgate.yaml:10", "models.m.timeouts.connect"],
        ["meshgate.yaml:10", "models.m.timeouts.total"],
        ["meshgate.yaml:11", "kyes"],
    ]


def model(fields: str) -> str:
    return f"""\
providers: {{demo: {{kind: demo}}}}
models:
  a: {{targets: [{{provider: demo}}], {fields}}}
  b: {{targets: [{{provider: demo}}]}}
"""


def key(fields: str) -> str:
    return f"""\
providers: {{demo: {{kind: demo}}}}
models: {{a: {{targets: [{{provider: demo}}]}}}}
keys: [{{name: k, key: "${{env:K}}", {fields}}}]
"""


def provider(fields: str) -> str:
    return f"providers:\n  p: {{{fields}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a", "must hold fields"),
        (model("cache: {mode: semantic}"), "models.a.cache.mode: semantic is not supported yet"),
        (model("cache: {ttl: 1m}"), "models.a.cache.mode: is missing"),
        (model("cache: {mode: exact, ttl: 0s}"), "models.a.cache.ttl: must be longer than 0s"),
        (model("cache: {mode: exact, scope: tenant}"), "models.a.cache.scope: unknown word tenant"),
        (model("guardrails: [x]"), "models.a.guardrails[0]: there is no guardrail x; add it"),
        (model("parameters: {}"), "models.a.parameters: is not supported yet"),
        (model("strategy: lowest-cost"), "models.a.strategy: lowest-cost is not supported yet"),
        (model("strategy: weigthed"), "did you mean weighted?"),
        (model("strategy: 3"), "models.a.strategy: must be a word: use one of weighted, priority"),
        (model("retires: {}"), "unknown field retires; did you mean retries?"),
        (
            model("zzz: {}"),
            "unknown field zzz; known here: cache, fallbacks, guardrails, limits, prices",
        ),
        (model("fallbacks: [bb]"), "models.a.fallbacks[0]: there is no model bb; did you mean b?"),
        (model("timeouts: {connect: 9s, total: 5s}"), "`connect` (9s) is longer than `total` (5s)"),
        (model("timeouts: {total: 0s}"), "models.a.timeouts.total: must be longer than 0s"),
        (model("retries: {attempts: '3'}"), "models.a.retries.attempts: must be a whole number"),
        (model("retries: {attempts: 0}"), "models.a.retries.attempts: must be at least 1"),
        (model("retries: {backoff: {initial: 2s, max: 1s}}"), "`initial` is longer than `max`"),
        (model("retries: {on: [cancelled]}"), "models.a.retries.on[0]: unknown word cancelled"),
        (model("retries: {on: timeout}"), "models.a.retries.on: must be a list"),
        (key("limits: {rpm: -1}"), "keys[0].limits.rpm: -1 is less than nothing"),
        (key("limits: null"), "keys[0].limits: must hold fields"),
        (key("models: [b]"), "keys[0].models[0]: there is no model b"),
        (key("networks: [10.0.0.1/8]"), "keys[0].networks[0]: must be a network"),
        (key("expires: 2027-01-01T00:00:00"), "keys[0].expires: must say its time zone"),
        (key("expires: soon"), "keys[0].expires: must be a time such as"),
        (key("tags: {a: 1}"), "keys[0].tags.a: must be text: write it in quotes"),
        (key("organization: 'a b'"), "keys[0].organization: must be at most 100 letters"),
        ("limits: {defualt: {rpm: 1}}", "unknown field defualt; did you mean default?"),
        ("guardrails: []", "guardrails: must hold fields"),
        ("providers: 3", "providers: must hold fields"),
        ("auth: {stale_for: 30}", "auth.stale_for: must be a number and its unit"),
        (provider("kind: anthropic"), "providers.p.kind: anthropic is not supported yet"),
        (provider("kind: opnai"), "did you mean openai?"),
        (provider("base_url: x"), "providers.p.kind: is missing: use one of "),
        (provider("kind: openai"), "providers.p.api_key: is missing. The key for the upstream."),
        (provider("kind: openai-compatible"), "providers.p.base_url: is missing."),
        (provider("kind: openai-compatible, base_url: 'ftp://x'"), "begins with http://"),
        (provider("kind: openai-compatible, base_url: 'http://'"), "begins with http://"),
        (provider("kind: openai-compatible, base_url: 'http://x?a=b'"), "what follows `?`"),
        (provider("kind: demo, fail_first: 3"), "providers.p: `fail_first` needs `fail`"),
        (provider("kind: demo, api_key: '${env:X}'"), "providers.p.api_key: unknown field api_key"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(directory, text, expected):
    problems = told(directory, text)

    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    "text",
    [
        provider("kind: openai, api_key: hunter2"),
        provider("kind: openai, api_key: 'Bearer ${hunter2}'"),
        provider("kind: openai-compatible, base_url: 'http://u:hunter2@x/v1'"),
        provider("kind: openai, api_key: '${env:X}', proxy: 'http://u:hunter2@x'"),
        provider("kind: openai, api_key: '${env:X}', headers: {Authorization: hunter2}"),
        provider("kind: openai, api_key: '${env:X}', headers: {api-key: hunter2}"),
        "keys:\n- {name: a, key: hunter2}\n- {name: b, key: hunter2}\n",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(directory, text):
    problems = told(directory, text)

    assert any("never kept in the file" in problem for problem in problems)
    assert "hunter2" not in "".join(problems)


def test_each_fallback_of_a_circle_is_told(directory):
    problems = told(
        directory,
        """\
        providers: {demo: {kind: demo}}
        models:
          a: {targets: [{provider: demo}], fallbacks: [b]}
          b: {targets: [{provider: demo}], fallbacks: [c, a]}
          c: {targets: [{provider: demo}]}
        """,
    )

    assert problems == [
        "meshgate.yaml:3: models.a.fallbacks[0]: leads back to a: remove one fallback of the circle",
        "meshgate.yaml:4: models.b.fallbacks[1]: leads back to b: remove one fallback of the circle",
    ]


def test_keys_with_the_same_name_or_secret_are_told_with_both_places(directory):
    problems = told(
        directory,
        """\
        keys:
        - {name: a, key: "${env:A}"}
        - {name: a, key: "${env:B}"}
        - {name: c, key: "${env:A}"}
        """,
    )

    assert [problem.split("; ")[0].replace(str(directory.path), "") for problem in problems] == [
        "meshgate.yaml:3: keys[1].name: the name a is also that of the key in meshgate.yaml:2",
        "meshgate.yaml:4: keys[2].key: the secret ${env:A} is also that of the key in meshgate.yaml:2",
    ]


def test_secrets_are_looked_up_only_when_asked_for(directory, secrets_of):
    assert told(directory, GOOD) == []
    assert told(directory, GOOD, secrets_of({"OPENAI_API_KEY": "x"})) == [
        "meshgate.yaml:9: keys[0].key: BENCH_KEY is not there"
    ]


def test_two_references_to_the_same_key_are_told_when_secrets_are_looked_up(directory, secrets_of):
    text = """\
        keys:
        - {name: a, key: "${env:A}"}
        - {name: b, key: "${env:B}"}
        """

    problems = told(directory, text, secrets_of({"A": "same", "B": "same"}))

    assert problems == [
        "meshgate.yaml:3: keys[1].key: is the same key as in meshgate.yaml:2; use another one"
    ]


def test_a_missing_ca_file_is_told_when_secrets_are_looked_up(directory, secrets_of):
    text = provider("kind: openai-compatible, base_url: 'http://x', ca_file: /no/such.pem")

    assert told(directory, text) == []
    assert "there is no file /no/such.pem" in told(directory, text, secrets_of({}))[0]


def test_a_file_that_is_not_there_is_told(tmp_path):
    problems = check(tmp_path / "none.yaml")

    assert "none.yaml:1: cannot be read" in str(problems[0])


def test_loading_raises_all_problems_one_a_line(directory):
    file = directory.write("limits: []\nguardrails: []\n")

    with pytest.raises(ConfigurationError) as caught:
        load(file)

    assert len(caught.value.problems) == 2
    assert str(caught.value).count("\n") == 1


def test_included_files_are_joined(directory):
    directory.write("providers: {demo: {kind: demo}}\n", "conf.d/providers.yaml")
    directory.write("keys: [{name: b, key: '${env:B}', models: [a]}]\n", "conf.d/keys.yaml")
    file = directory.write(
        """\
        include: ["conf.d/*.yaml", more.yaml]
        models: {a: {targets: [{provider: demo}]}}
        keys: [{name: a, key: "${env:A}"}]
        """
    )
    directory.write("models: {c: {targets: [{provider: demo}]}}\nauth:\n", "more.yaml")

    snapshot = load(file)

    assert list(snapshot.models) == ["a", "c"]
    assert list(snapshot.keys) == ["config/a", "config/b"]


def test_a_name_in_two_files_is_told_with_both_places(directory):
    directory.write("\nproviders: {demo: {kind: demo, fail: x}}\n", "conf.d/a.yaml")

    problems = told(directory, "include: ['conf.d/*.yaml']\nproviders:\n  demo: {kind: demo}\n")

    assert problems == [
        "conf.d/a.yaml:2: providers.demo: is also defined in meshgate.yaml:3; remove or rename one of them"
    ]


def test_a_mistake_in_an_included_list_is_told_in_its_own_file(directory):
    directory.write("keys:\n- {name: b, key: '${env:B}', netwroks: []}\n", "more.yaml")

    problems = told(directory, "include: [more.yaml]\nkeys: [{name: a, key: '${env:A}'}]\n")

    assert problems == [
        "more.yaml:2: keys[1].netwroks: unknown field netwroks; did you mean networks?"
    ]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ("[none.yaml]", "none.yaml:1: cannot be read: check that it exists"),
        ("['a**/b.yaml']", "meshgate.yaml:1: include[0]: cannot be used as a pattern"),
        ('["a\\0b.yaml"]', "meshgate.yaml:1: include[0]: "),
        ("none.yaml", "meshgate.yaml:1: include: must be a list of file names"),
        ("[nested.yaml]", "nested.yaml:1: include: is read in the first file only"),
        ("[list.yaml]", "list.yaml:1: must hold fields"),
        ("[other.yaml]", "other.yaml:1: keys: is written in another form in meshgate.yaml:2"),
    ],
)
def test_includes_that_cannot_be_followed_are_told(directory, include, expected):
    directory.write("include: [x.yaml]\n", "nested.yaml")
    directory.write("- 1\n", "list.yaml")
    directory.write("keys: {}\n", "other.yaml")

    problems = told(directory, f"include: {include}\nkeys: []\n")

    assert [problem for problem in problems if problem.startswith(expected)]


def test_an_unreadable_file_hides_no_name_that_it_may_define(directory):
    directory.write("providers: {demo: {kind: demo}\n", "broken.yaml")

    problems = told(
        directory, "include: [broken.yaml]\nmodels: {a: {targets: [{provider: demo}]}}\n"
    )

    assert len(problems) == 1
    assert problems[0].startswith("broken.yaml:2: is not YAML")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "include",
                    "providers",
                    "models",
                    "keys",
                    "auth",
                    "demo",
                    "kind",
                    "targets",
                    "provider",
                    "key",
                    "name",
                    "fallbacks",
                    "headers",
                    "limits",
                    "default",
                    "tags",
                    "budget",
                    "usd",
                    "per",
                    "windows",
                    "count",
                    "limit",
                    "time_zone",
                    "prices",
                    "input",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(VALUES)
def test_any_value_is_loaded_or_refused_with_a_place(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("any") / "f.yaml"
    file.write_text(json.dumps(value))

    problems = check(file)

    assert all(problem.place.line >= 1 and problem.sentence for problem in problems)
