"""What may be written under `providers:` of upstreams in clouds, and of Cohere."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from meshgate.config.fields import AbsolutePath, HeaderValue, Secret, UpstreamAddress
from meshgate.config.http_schema import HttpSection
from meshgate.config.secrets import SecretReference

Options: TypeAlias = Mapping[str, str | SecretReference]

_REGION = r"^[a-z0-9-]{1,40}$"
_WORD = r"^[A-Za-z0-9._:-]{1,100}$"
_ROLE = r"^arn:[a-z-]+:iam::\d{12}:role/[\x21-\x7e]{1,512}$"
_CHINA = "cn-"
_BEDROCK_WAYS = (
    *("api_key", "secret_access_key", "role_arn"),
    *("container_credentials_url", "instance_metadata_url"),
)
_BEDROCK_EXTRAS = {
    "session_token": "secret_access_key",
    "container_token_file": "container_credentials_url",
    "sts_url": "role_arn",
}


class CloudSection(HttpSection, ABC):
    """What the provider service must know of an upstream in a cloud."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is."""

    @property
    def key(self) -> SecretReference | None:
        """Its key, where it has one."""
        return None

    @property
    def options(self) -> Options:
        """What only this kind has."""
        return {}


class BedrockSection(CloudSection):
    """Amazon Bedrock in one region, with all models that its Converse API has.

    Requests are proven in one of these ways: `api_key`; `access_key_id` and `secret_access_key`;
    `role_arn` with `web_identity_token_file`; `container_credentials_url`; `instance_metadata_url`.
    """

    kind: Literal["bedrock"] = Field(description="`bedrock`.")
    region: str = Field(pattern=_REGION, description="AWS region, for instance `eu-central-1`.")
    api_key: Secret | None = Field(None, description="An API key of Bedrock's own.")
    access_key_id: HeaderValue | None = Field(
        None, description="Name of the key to sign with, as text or as a reference to a secret."
    )
    secret_access_key: Secret | None = Field(None, description="The key to sign with.")
    session_token: Secret | None = Field(
        None, description="What belongs to a key that is temporary."
    )
    role_arn: str | None = Field(
        None,
        pattern=_ROLE,
        description="The role to take; its keys are renewed ahead of their end.",
    )
    web_identity_token_file: AbsolutePath | None = Field(
        None,
        description="File in which the platform keeps the token that the role is given for; "
        "Kubernetes on EKS tells it in `AWS_WEB_IDENTITY_TOKEN_FILE`.",
    )
    container_credentials_url: HeaderValue | None = Field(
        None,
        description="Where the container's own keys are told, as text or as a reference: ECS and EKS "
        "tell it in `AWS_CONTAINER_CREDENTIALS_FULL_URI`.",
    )
    container_token_file: AbsolutePath | None = Field(
        None,
        description="File with what must be shown for them, where something must; EKS tells it in "
        "`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.",
    )
    instance_metadata_url: UpstreamAddress | None = Field(
        None,
        description="Where the machine's own keys are told; on EC2 it is http://169.254.169.254.",
    )
    base_url: UpstreamAddress | None = Field(
        None, description="The API's address, in place of the region's own."
    )
    sts_url: UpstreamAddress | None = Field(
        None,
        description="Address of the service that gives out keys, in place of the region's own.",
    )

    @model_validator(mode="after")
    def _check_proof(self) -> Self:
        pairs = ("access_key_id", "secret_access_key"), ("role_arn", "web_identity_token_file")
        for first, second in pairs:
            if (getattr(self, first) is None) != (getattr(self, second) is None):
                raise ValueError(f"`{first}` and `{second}` go together: give both")
        for extra, needed in _BEDROCK_EXTRAS.items():
            if getattr(self, extra) is not None and getattr(self, needed) is None:
                raise ValueError(f"`{extra}` needs `{needed}`")
        if sum(getattr(self, way) is not None for way in _BEDROCK_WAYS) != 1:
            ways = ", ".join(f"`{way}`" for way in _BEDROCK_WAYS)
            raise ValueError(f"needs one of {ways}, and only one")
        return self

    @property
    def address(self) -> str:
        return self.base_url or f"https://bedrock-runtime.{self._host}"

    @property
    def key(self) -> SecretReference | None:
        return self.api_key

    @property
    def options(self) -> Options:
        options: dict[str, str | SecretReference | None] = {
            "region": self.region,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "session_token": self.session_token,
            "container_url": self.container_credentials_url,
            "token_file": self.container_token_file,
            "instance_url": self.instance_metadata_url,
        }
        if self.role_arn is not None:
            options |= {
                "role_arn": self.role_arn,
                "token_file": self.web_identity_token_file,
                "sts_url": self.sts_url or f"https://sts.{self._host}/",
            }
        return {name: value for name, value in options.items() if value is not None}

    @property
    def _host(self) -> str:
        end = ".cn" if self.region.startswith(_CHINA) else ""
        return f"{self.region}.amazonaws.com{end}"


class AzureSection(CloudSection):
    """Models of OpenAI's in Azure; a model's name at the upstream is that of its deployment.

    Requests are proven by `api_key`, or by `tenant_id`, `client_id` and `client_secret` of an
    application that Microsoft Entra ID knows.
    """

    kind: Literal["azure"] = Field(description="`azure`.")
    base_url: UpstreamAddress = Field(
        description="The resource's address, for instance https://NAME.openai.azure.com."
    )
    api_version: str | None = Field(
        None,
        pattern=_WORD,
        description="Version of the older API, which has the deployment in its address, for "
        "instance `2024-10-21`. Without it the newer one under `/openai/v1` is asked.",
    )
    api_key: Secret | None = Field(None, description="The resource's key.")
    tenant_id: str | None = Field(None, pattern=_WORD, description="The application's tenant.")
    client_id: str | None = Field(None, pattern=_WORD, description="The application.")
    client_secret: Secret | None = Field(None, description="The application's secret.")
    scope: str = Field(
        "https://cognitiveservices.azure.com/.default",
        min_length=1,
        description="What tokens are asked for.",
    )
    authority: UpstreamAddress = Field(
        "https://login.microsoftonline.com", description="Who gives out tokens."
    )

    @model_validator(mode="after")
    def _check_proof(self) -> Self:
        application = (self.tenant_id, self.client_id, self.client_secret)
        given = sum(it is not None for it in application)
        if given not in (0, len(application)):
            raise ValueError("`tenant_id`, `client_id` and `client_secret` go together: give all")
        if (self.api_key is None) == (given == 0):
            raise ValueError("needs either `api_key` or `client_secret`, and not both")
        return self

    @property
    def address(self) -> str:
        return self.base_url

    @property
    def key(self) -> SecretReference | None:
        return self.api_key

    @property
    def options(self) -> Options:
        options: dict[str, str | SecretReference | None] = {"api_version": self.api_version}
        if self.client_secret is not None:
            options |= {
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "authority": f"{self.authority}/{self.tenant_id}",
                "scope": self.scope,
            }
        return {name: value for name, value in options.items() if value is not None}


class VertexSection(CloudSection):
    """Gemini or Claude in Google's cloud.

    Requests are proven by tokens: for `service_account`, or else for the account of the machine that
    the gateway runs on.
    """

    kind: Literal["vertex"] = Field(description="`vertex`.")
    project: str = Field(pattern=_WORD, description="The project that is charged.")
    location: str = Field(
        "global", pattern=_REGION, description="Where the models run, for instance `europe-west4`."
    )
    publisher: Literal["google", "anthropic"] = Field(
        "google", description="Whose models: Gemini is Google's, Claude Anthropic's."
    )
    service_account: Secret | None = Field(
        None, description="The JSON file of a key of a service account."
    )
    base_url: UpstreamAddress | None = Field(
        None, description="The API's address, in place of the location's own."
    )
    metadata_url: UpstreamAddress = Field(
        "http://metadata.google.internal", description="Where the machine's account is asked for."
    )

    @property
    def address(self) -> str:
        if self.base_url is not None:
            return self.base_url
        prefix = "" if self.location == "global" else f"{self.location}-"
        return f"https://{prefix}aiplatform.googleapis.com"

    @property
    def options(self) -> Options:
        options: dict[str, str | SecretReference] = {
            "project": self.project,
            "location": self.location,
            "publisher": self.publisher,
        }
        if self.service_account is not None:
            return options | {"service_account": self.service_account}
        return options | {"metadata_url": self.metadata_url}


class CohereSection(CloudSection):
    """Cohere, by the second version of its API."""

    kind: Literal["cohere"] = Field(description="`cohere`.")
    api_key: Secret = Field(description="The key for the upstream.")
    base_url: UpstreamAddress = Field(
        "https://api.cohere.com", description="The API's address, without its version."
    )

    @property
    def address(self) -> str:
        return self.base_url

    @property
    def key(self) -> SecretReference | None:
        return self.api_key
