"""Providers in clouds: what may be written, and what comes of it."""

import pytest

from meshgate.config.loading import check, load
from meshgate.config.secrets import SecretReference

KEY = SecretReference("env", "KEY")


@pytest.fixture
def provider_of(directory):
    """The provider that a few fields make."""

    def provider(fields):
        return load(directory.write(written(fields))).providers["it"]

    return provider


@pytest.fixture
def problems_of(directory):
    """What is wrong with a few fields, in words."""

    def problems(fields, secrets=None):
        return "\n".join(str(it) for it in check(directory.write(written(fields)), secrets))

    return problems


def written(fields):
    return f"providers:\n  it: {{{fields}}}\nmodels:\n  m: {{targets: [{{provider: it}}]}}\n"


def test_bedrock_is_in_its_region_with_keys_that_sign(provider_of):
    provider = provider_of(
        'kind: bedrock, region: eu-central-1, access_key_id: AKID, secret_access_key: "${env:KEY}"'
    )

    assert provider.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert provider.api_key is None
    assert provider.options == {
        "region": "eu-central-1",
        "access_key_id": "AKID",
        "secret_access_key": KEY,
    }


def test_bedrock_may_have_a_key_of_its_own_and_another_address(provider_of):
    provider = provider_of(
        'kind: bedrock, region: cn-north-1, api_key: "${env:KEY}", base_url: "http://localhost:9/"'
    )

    assert provider.base_url == "http://localhost:9"
    assert provider.api_key == KEY
    assert provider.options == {"region": "cn-north-1"}


def test_bedrock_may_take_a_role(provider_of):
    provider = provider_of(
        "kind: bedrock, region: cn-north-1, web_identity_token_file: /run/token,"
        ' role_arn: "arn:aws-cn:iam::123456789012:role/gateway"'
    )

    assert provider.base_url == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert provider.options == {
        "region": "cn-north-1",
        "role_arn": "arn:aws-cn:iam::123456789012:role/gateway",
        "token_file": "/run/token",
        "sts_url": "https://sts.cn-north-1.amazonaws.com.cn/",
    }


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (
            'container_credentials_url: "${env:URI}", container_token_file: /run/token',
            {"container_url": SecretReference("env", "URI"), "token_file": "/run/token"},
        ),
        (
            'instance_metadata_url: "http://169.254.169.254"',
            {"instance_url": "http://169.254.169.254"},
        ),
    ],
)
def test_bedrock_may_take_the_keys_of_where_the_gateway_runs(provider_of, fields, options):
    provider = provider_of(f"kind: bedrock, region: eu-west-1, {fields}")

    assert provider.options == {"region": "eu-west-1", **options}


def test_azure_may_have_an_application(provider_of):
    provider = provider_of(
        'kind: azure, base_url: "https://r.openai.azure.com/", api_version: 2024-10-21,'
        ' tenant_id: t-1, client_id: c-1, client_secret: "${env:KEY}"'
    )

    assert provider.base_url == "https://r.openai.azure.com"
    assert provider.options == {
        "api_version": "2024-10-21",
        "client_id": "c-1",
        "client_secret": KEY,
        "authority": "https://login.microsoftonline.com/t-1",
        "scope": "https://cognitiveservices.azure.com/.default",
    }


def test_azure_may_have_a_key(provider_of):
    provider = provider_of('kind: azure, base_url: "https://r.example", api_key: "${env:KEY}"')

    assert (provider.api_key, provider.options) == (KEY, {})


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_vertex_is_in_its_location(provider_of, location, address):
    provider = provider_of(
        f'kind: vertex, project: p, location: {location}, service_account: "${{file:/run/sa}}"'
    )

    assert provider.base_url == address
    assert provider.options == {
        "project": "p",
        "location": location,
        "publisher": "google",
        "service_account": SecretReference("file", "/run/sa"),
    }


def test_vertex_asks_the_machine_where_no_account_is_given(provider_of):
    provider = provider_of("kind: vertex, project: p, publisher: anthropic")

    assert provider.options["metadata_url"] == "http://metadata.google.internal"
    assert provider.options["publisher"] == "anthropic"


def test_cohere_is_where_it_is(provider_of):
    provider = provider_of('kind: cohere, api_key: "${env:KEY}"')

    assert (provider.base_url, provider.api_key) == ("https://api.cohere.com", KEY)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("kind: bedrock, region: eu-west-1", "needs one of"),
        ("kind: bedrock, region: eu-west-1, access_key_id: A", "go together"),
        (
            (
                'kind: bedrock, region: eu-west-1, api_key: "${env:KEY}", access_key_id: A,'
                ' secret_access_key: "${env:KEY}"'
            ),
            "needs one of",
        ),
        ("kind: bedrock, region: eu-west-1, role_arn: no", "role_arn"),
        (
            'kind: bedrock, region: r, api_key: "${env:KEY}", session_token: "${env:KEY}"',
            "`session_token` needs `secret_access_key`",
        ),
        ('kind: bedrock, region: "EU West", api_key: "${env:KEY}"', "region"),
        ('kind: azure, base_url: "https://r.example"', "needs either"),
        ('kind: azure, base_url: "https://r.example", client_id: c', "go together"),
        ("kind: vertex, project: p, publisher: meta", "publisher"),
        ("kind: cohere", "api_key"),
        ("kind: cohere, api_key: co-literal-secret", "must refer to the secret"),
    ],
)
def test_what_cannot_be_meant_is_told(problems_of, fields, told):
    problems = problems_of(fields)

    assert told in problems
    assert "co-literal-secret" not in problems


@pytest.mark.parametrize(
    "fields",
    [
        'kind: bedrock, region: r, access_key_id: A, secret_access_key: "${env:GONE}"',
        'kind: vertex, project: p, service_account: "${env:GONE}"',
        (
            'kind: azure, base_url: "https://r.example", tenant_id: t, client_id: c,'
            ' client_secret: "${env:GONE}"'
        ),
    ],
)
def test_secrets_that_are_not_there_are_told(problems_of, secrets_of, fields):
    assert "GONE is not there" in problems_of(fields, secrets_of({}))
